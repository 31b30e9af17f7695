"""The harness of the comparisons: check_bench.py RULE.

results  the table of goals in tests/bench/RESULTS.md is the one that its sections give (`tests/bench/run --goals` makes it)
spoilt   a run that loses or doubles a message is no result: the command fails and records nothing; a good one is recorded
"""
import contextlib
import io
import os
import pathlib
import smtplib
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests" / "bench"), str(TOP / "tests" / "support")]

import bench_goals  # noqa: E402  found by the line above
import bench_path  # noqa: E402
import compare  # noqa: E402
from bench_meter import Meter  # noqa: E402
from bench_path import SMTP_SOURCE, check_identities, check_sink, straight  # noqa: E402
from bench_row import Comparison, Goal, Side  # noqa: E402
from bench_sink import start_sink  # noqa: E402
from tpn_harness import EXIT_SKIPPED, Lab  # noqa: E402

MESSAGES = 20


def counted(sent):
    """A side that says N mails and sends N + sent into smtp-sink."""
    return straight("smtp-source", lambda setup, port: [SMTP_SOURCE, "-d", "-m", setup.messages + sent, f"127.0.0.1:{port}"])


def identified(names):
    """A side that sends mails of these Message-IDs to the sink that knows them."""
    def run(setup):
        with Lab("bench") as lab:
            sink = start_sink(lab)
            meter = Meter([sink])
            with smtplib.SMTP("127.0.0.1", sink.port) as link:
                for name in names:
                    link.sendmail("a@example.org", ["b@example.org"], f"Message-ID: <{name}@example.org>\r\n\r\ntext\r\n")
            result = meter.finish(setup.messages, {"mails/s": 1.0})
            sink.check_mails(setup.messages)
            return result
    return run


def proven(names):
    """A proof, as of the durable path, over these identities."""
    return lambda setup: check_identities(names, setup.messages)


ALL = [f"mail-{number}" for number in range(MESSAGES)]
ONE_TWICE = [*ALL[:-1], ALL[0]]  # one lost and one doubled: the count is right
GOOD = counted(0)
# (what happens, side, proof, part of the reason; "" for a good run)
RUNS = (
    ("each arrives once", GOOD, None, ""),
    ("one is lost", counted(-1), None, "mails that smtp-sink counted: got 19, wanted 20"),
    ("one is doubled", counted(1), None, "mails that smtp-sink counted: got 21, wanted 20"),
    ("each arrives once, by name", identified(ALL), None, ""),
    ("one is lost, by name", identified(ALL[:-1]), None, "mails that fast_sink counted: got 19, wanted 20"),
    ("one is doubled, by name", identified([*ALL, ALL[0]]), None, "mails that fast_sink counted: got 21, wanted 20"),
    ("one is lost and one doubled", identified(ONE_TWICE), None, "different mails: got 19, wanted 20"),
    ("the proof has all", GOOD, proven(ALL), ""),
    ("the proof lacks one", GOOD, proven(ALL[:-1]), "different mails that arrived: got 19, wanted 20"),
    ("the proof has one twice", GOOD, proven([*ALL, ALL[0]]), "mails that arrived: got 21, wanted 20"),
)


def command(row, results):
    """(exit status, what it said) of tests/bench/run with this row alone."""
    compare.COMPARISONS = (row,)
    sys.argv = ["run", "--results", str(results), "--data", str(results.parent), "--given-build", "--rounds", "1"]
    said = io.StringIO()
    status = 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            compare.main()
        except SystemExit as ended:
            status = ended.code
    return status, said.getvalue()


def check_run(folder, what, side, proof, reason):
    """Findings."""
    results = folder / "RESULTS.md"
    results.write_text(f"{bench_goals.BEGIN}\n## More\n", "utf-8")
    goal = Goal("mails/s", "side", "mails/s", at_least=0)
    row = Comparison("spoilt", what, MESSAGES, MESSAGES, (Side("side", side, "side"),), proof, (goal,))
    bench_path.COUNT_S = 0.5 if reason else 10.0  # nothing more will come to a spoilt run
    status, said = command(row, results)
    text = results.read_text("utf-8")
    if not reason:
        good = status == 0 and f"### spoilt: {what}" in text and "1 goals: 1 met" in text
        return [] if good else [f"{what}: exit status {status}, said {said!r}, recorded {text!r}"]
    spoilt = status == 1 and f"FAILED: no result: {reason}" in said and "spoilt" not in text
    return [] if spoilt else [f"{what}: wanted {reason!r}, got exit status {status}, said {said!r}, recorded {text!r}"]


def check_spoilt():
    if not os.access(SMTP_SOURCE, os.X_OK):
        print(f"skipped: {SMTP_SOURCE} is missing (package postfix)")
        sys.exit(EXIT_SKIPPED)
    findings = []
    with tempfile.TemporaryDirectory() as folder:
        compare.cache_value = lambda name: ""  # a build with sanitizers records nothing: here it shall
        for run in RUNS:
            findings += check_run(pathlib.Path(folder), *run)
    return findings


def check_results():
    text = compare.RESULTS.read_text("utf-8")
    wanted = bench_goals.with_goals(text, compare.COMPARISONS)
    names = [(row.heading(), goal.title) for row in compare.COMPARISONS for goal in row.goals]
    findings = [f"two goals of one name: {name}" for name in sorted({name for name in names if names.count(name) > 1})]
    if text != wanted:
        findings.append("tests/bench/RESULTS.md: the table of goals is not the one of its sections; tests/bench/run --goals makes it")
    return findings


if __name__ == "__main__":
    checks = {"results": check_results, "spoilt": check_spoilt}
    if len(sys.argv) != 2 or sys.argv[1] not in checks:
        sys.exit(__doc__)
    found = checks[sys.argv[1]]()
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)
