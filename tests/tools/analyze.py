"""gcc -fanalyzer over the product and the programs of tests/bench: analyze.py BUILD_FOLDER. Every finding is told, in one run.

Uses the compile commands of the build, which must have made the generated headers. A finding that is none stands in
KNOWN with its reason; a row that no longer applies is an error too.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
PLACES = ("transport/", "worker/", "producer/", "monitor/", "tests/bench/")

# (file, warning): reason.
KNOWN = {
    ("producer/cli/csv.c", "analyzer-malloc-leak"):
        "iconv_open is taken for malloc, and its error value, -1, for memory",
    ("transport/base/map.c", "analyzer-malloc-leak"):
        "uthash hangs a new table on the entry that it adds; the analyzer loses sight of it there",
    ("worker/probe.c", "analyzer-null-dereference"):
        "probe_add returns null when its list is full; the first step of a walk always fits",
}


def product_commands(build):
    for entry in json.loads((build / "compile_commands.json").read_text()):
        name = os.path.relpath(entry["file"], TOP)
        if name.startswith(PLACES):
            yield name, entry


def findings_of(entry):
    """Warnings of one file as (warning, line of the compiler)."""
    words = [word for word in shlex.split(entry["command"]) if word != "-Werror"]
    words = words[next(i for i, word in enumerate(words) if re.search(r"(cc|gcc)(-\d+)?$", os.path.basename(word))
                       and "ccache" not in word):]
    words[words.index("-o") + 1] = "/dev/null"
    result = subprocess.run([*words, "-fanalyzer", "-O1"], cwd=entry["directory"], text=True, capture_output=True,
                            check=False)
    if result.returncode != 0:
        return [("does not compile", result.stderr.strip())]
    return [(match.group(1), line) for line in result.stderr.splitlines()
            if (match := re.search(r"warning: .*\[-W(analyzer-[\w-]+)\]$", line))]


def main(build):
    found = []
    unused = set(KNOWN)
    commands = sorted(product_commands(build), key=lambda pair: pair[0])
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for (name, _), warnings in zip(commands, pool.map(lambda pair: findings_of(pair[1]), commands)):
            for warning, line in warnings:
                unused.discard((name, warning))
                if (name, warning) not in KNOWN:
                    found.append(line)
    found += [f"{name}: no longer a finding of {warning}: take the row out of KNOWN" for name, warning in sorted(unused)]
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(commands)} files analysed")
    return 1 if found or len(commands) < 50 else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))
