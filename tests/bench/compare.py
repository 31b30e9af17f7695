"""The comparisons of tests/bench/run, which see: how the sides are run in turn, told and recorded.

One row of a family is one table of figures: its sides run in turn, a, b, c, a, b, c, …, so that a machine
that gets slower or busier does so for all of them. Ratios are of the two runs of one round; their median is told.
Rules that make a figure a result:
- every server is our own child on loopback, new for every run, and ended by its pid;
- the receiving end counts, after the senders have ended: not exactly N is a Failure and ends everything;
- time is that of the whole sender process, but for the durable path, where it is from the first publish to the last
  final event (its processes are servers, and warm: PRIME messages went before)."""
import argparse
import atexit
import contextlib
import datetime
import os
import pathlib
import signal
import sys
import tempfile

import bench_accept
import bench_backlog
import bench_compose
import bench_crew
import bench_latency
import bench_load
import bench_pickup
import bench_pipeline
import bench_smtp
import bench_status
from bench_goals import append, write_goals
from bench_machine import RESULTS, cache_value, machine_lines
from bench_meter import say
from bench_path import SMTP_SOURCE
from bench_peers import peer_versions
from bench_row import Setup
from bench_table import letter, report, tell
from tpn_harness import BUILD_DIR, EXIT_SKIPPED, Failure, Skip
from postfix_peer import closed_to_others  # found by tpn_harness

FAMILIES = (bench_smtp, bench_accept, bench_pipeline, bench_load, bench_latency, bench_compose, bench_pickup,
            bench_crew, bench_status, bench_backlog)
COMPARISONS = tuple(row for family in FAMILIES for row in family.COMPARISONS)


VAR_TMP = "/var/tmp"  # on a disk, which /tmp need not be


def sides_of(comparison, options):
    """Those that run. A peer that is missing ends the command: a table without it would look like a whole one."""
    sides = [side for side in comparison.sides if not (side.peer and options.no_peers)]
    for side in sides:
        lacks = side.peer() if side.peer else ""
        if lacks:
            raise Skip(f"{side.title}: {lacks}; --no-peers leaves such sides out")
    return sides


def measure(comparison, sides, counts, options):
    """{key of the side: [Result of each round]}."""
    if comparison.proof:
        comparison.proof(Setup(counts[0]))
        say(f"{comparison.name}: every one of {counts[0]} mails arrived once, by Message-ID")
    results = {side.name(): [] for side in sides}
    with tempfile.TemporaryDirectory(prefix="kept-") as kept:
        for number in range(options.rounds):
            for index, (side, count) in enumerate(zip(sides, counts)):
                result = side.run(Setup(count, kept))
                results[side.name()].append(result)
                figures = ", ".join(f"{name} {tell(value)}" for name, value in result.figures.items())
                say(f"{comparison.name} {number + 1}/{options.rounds} {letter(index)} {side.title}: {figures}")
    return results


def compare(comparison, sides, options):
    """The lines of its tables."""
    messages = options.messages or (comparison.quick_messages if options.quick else comparison.messages)
    counts = [max(1, round(messages * side.share)) for side in sides]
    return report(comparison, sides, counts, measure(comparison, sides, counts, options))


def read_options():
    names = list(dict.fromkeys(row.name for row in COMPARISONS))
    parser = argparse.ArgumentParser(prog="run", description="see the head of tests/bench/run")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(names)}; default: all")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--goals", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--messages", type=int)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--log-level", choices=("error", "warn", "info", "debug"), default="info")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--no-record", action="store_true")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--given-build", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    unknown = sorted(set(options.names) - set(names))
    if unknown:
        parser.error(f"no such comparison: {', '.join(unknown)}; there are {', '.join(names)}")
    if options.rounds < 1 or (options.messages is not None and options.messages < 1):
        parser.error("--rounds and --messages are 1 and up")
    if options.list:
        for row in COMPARISONS:
            print(f"{row.name:10} {row.title}: {' | '.join(side.title for side in row.sides)}")
        sys.exit(0)
    if options.goals:
        write_goals(options.results, COMPARISONS)
        sys.exit(0)
    return options


def scratch_folder(options):
    """Where everything happens. One for all sides, so that they use the same disk."""
    wanted = options.data or BUILD_DIR / "bench-scratch"
    try:
        wanted.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise Skip(f"scratch folder {wanted}: {reason.strerror}") from reason
    closed = closed_to_others(wanted.resolve())
    if closed and not options.data:
        with contextlib.suppress(OSError):
            wanted.rmdir()
        say(f"scratch folder in {VAR_TMP}, for {closed} is closed to other users, and a Postfix runs as them")
        wanted = pathlib.Path(tempfile.mkdtemp(prefix="tpn-bench-", dir=VAR_TMP))
        wanted.chmod(0o755)
    return wanted.resolve()


def remove_empty(folder):
    with contextlib.suppress(OSError):  # another run may be in it
        folder.rmdir()


def compare_all(options):
    day = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    wanted = [(row, sides_of(row, options)) for row in COMPARISONS if not options.names or row.name in options.names]
    peers = any(side.peer for _, sides in wanted for side in sides)
    lines = [f"## {day}", "", *machine_lines(options, peer_versions() if peers else "")]
    print("\n".join(lines), flush=True)
    for comparison, sides in wanted:
        part = compare(comparison, sides, options)
        print("\n".join(part), flush=True)
        lines += part
    return lines


def run():
    options = read_options()
    os.environ["TPN_LOG_LEVEL"] = options.log_level
    if not os.access(SMTP_SOURCE, os.X_OK):
        raise Skip(f"{SMTP_SOURCE} is missing (package postfix)")
    options.data = scratch_folder(options)
    tempfile.tempdir = str(options.data)
    atexit.register(remove_empty, options.data)  # behind the folders that Python itself removes at its end
    lines = compare_all(options)
    if options.quick or options.no_record or cache_value("TPN_SANITIZE"):
        say("not recorded")
    else:
        append(options.results, lines, COMPARISONS)
        say(f"recorded in {options.results.name}")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    try:
        run()
    except Skip as reason:
        print(f"cannot run: {reason}", file=sys.stderr)
        sys.exit(EXIT_SKIPPED)
    except Failure as reason:
        print(f"FAILED: {reason}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
