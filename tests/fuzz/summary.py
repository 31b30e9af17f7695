"""What a fuzz run did, a line a target: summary.py BUILD_FOLDER. Reads ctest's log of `ctest -L fuzz`.

Executions and executions a second are libFuzzer's; edges are what the inputs reached of the target and the code in it.
"""
import pathlib
import re
import sys


FIGURES = (r"number_of_executed_units: (\d+)", r"average_exec_per_sec: +(\d+)", r" cov: (\d+) ", r" corp: (\d+)/")


def number(text, pattern):
    found = re.findall(pattern, text)
    return found[-1] if found else "?"


def main(build):
    log = (build / "Testing" / "Temporary" / "LastTest.log").read_text(errors="replace")
    print("{:14}{:>12}{:>10}{:>8}{:>8}  {}".format("target", "executions", "a second", "edges", "inputs", "result"))
    bad = 0
    for part in re.split(r"^\d+/\d+ Testing: ", log, flags=re.MULTILINE)[1:]:
        name = part.split("\n", 1)[0].removeprefix("fuzz/")
        good = "\nTest Passed." in part
        bad += not good
        found = number(part, r"(?:bug at|ERROR: |Test unit written to) ?(.*)")
        figures = [number(part, pattern) for pattern in FIGURES]
        print("{:14}{:>12}{:>10}{:>8}{:>8}  {}".format(name, *figures, "clean" if good else found))
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1])))
