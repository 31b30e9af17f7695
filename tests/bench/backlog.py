"""A long queue: requests are accepted until there are --messages (1,000,000) of them, then the broker is started again,
asked, and a worker drains the queue. What is told is what the length costs: rates at the end against rates at the start,
the broker's memory, the time of a start, the time of an answer.

    tests/bench/run backlog [--messages N] [--build DIR] [--data DIR] [--results FILE | --no-record]

Every mail is counted at the server; a wrong count is a failure and nothing is recorded."""
import argparse
import contextlib
import datetime
import os
import pathlib
import statistics
import sys
import tempfile
import time

import tpn_wire
from bench_machine import RESULTS, append, machine_lines
from bench_meter import bench_program, machine_busy_s, peak_mb, run_child, shown_on_failure, stat_cpu, words_of
from bench_path import SMTP_SOURCE, BenchWorker, check_sink, sink_profile
from bench_table import table
from compare import say
from tpn_harness import BUILD_DIR, EXIT_SKIPPED, Failure, Lab, Skip, check, check_equal, wait_until
from tpn_wire import state_name

SLICES = 10
PAYLOAD = 1024
WINDOW = 1000
ASKED = 5  # times that a question is put
WANTED = {"accept, end to start": ("≥ 0.5", lambda value: value >= 0.5),
          "drain, end to start": ("≥ 0.5", lambda value: value >= 0.5),
          "broker, peak MB": ("< 100", lambda value: value < 100),
          "start after SIGTERM, s": ("< 5", lambda value: value < 5),
          "start after kill -9, s": ("< 5", lambda value: value < 5),
          "tpn queue ls, ms": ("< 1000", lambda value: value < 1000),
          "tpn queue ls, worst filter, ms": ("< 1000", lambda value: value < 1000),
          "tpn queue ls while draining, ms": ("< 1000", lambda value: value < 1000)}


class Others:
    """Part of all cores that was used by neither us nor our servers."""

    def __init__(self):
        self.start, self.busy = time.monotonic(), machine_busy_s()

    def share(self, ours_s):
        total = machine_busy_s() - self.busy - ours_s
        return max(0.0, total / (time.monotonic() - self.start) / os.cpu_count())


def accept_all(lab, broker, messages):
    """Rate of each slice."""
    rates = []
    for number in range(SLICES):
        child = run_child(lab, f"producer-{number}", [
            bench_program("pipeline_bench"), "-a", "-n", messages // SLICES, "-s", PAYLOAD, "-w", WINDOW,
            broker.endpoints["submit"], broker.endpoints["status"]])
        rates.append(words_of(child.out)["rate"])
        say(f"accepted {(number + 1) * (messages // SLICES)}: {rates[-1]:.0f}/s, broker {peak_mb(broker.pid):.0f} MB")
    return rates


def sent_so_far(lab, link):
    stats = link.answer([b"TPN1.STATS", lab.pb.StatsAsk().SerializeToString()])[1]
    return {state_name(lab.pb, count.state): count.count for count in stats.states}.get("SENT", 0)


def start_time(lab, broker):
    """From the start of the process to its first answer."""
    began = time.monotonic()
    broker.start()
    with contextlib.closing(tpn_wire.Publisher(lab.pb, broker.endpoints["admin"])) as link:
        sent_so_far(lab, link)
    return time.monotonic() - began


def list_time(lab, broker, *words):
    times = []
    for _ in range(ASKED):
        began = time.monotonic()
        result = lab.tpn(broker, "queue", "ls", *words)
        times.append((time.monotonic() - began) * 1000)
        check_equal(result.returncode, 0, "exit status of tpn queue ls")
    return statistics.median(times)


def drain_all(lab, broker, messages):
    """(rate of each slice, median time of tpn queue ls meanwhile)."""
    lab.add(BenchWorker(lab, broker, "worker", jobs=400)).start()
    rates, last, listed = [], time.monotonic(), 0.0
    with contextlib.closing(tpn_wire.Publisher(lab.pb, broker.endpoints["admin"])) as link:
        for number in range(SLICES):
            was = messages // SLICES * number
            wanted = was + messages // SLICES
            wait_until(lambda wanted=wanted: sent_so_far(lab, link) >= wanted, f"{wanted} to be sent", 600, every_s=0.05)
            now = time.monotonic()
            count = sent_so_far(lab, link)
            rates.append((count - was) / (now - last))
            last = now
            if number == SLICES // 2:
                listed = list_time(lab, broker)
            say(f"sent {count}: {rates[-1]:.0f}/s, broker {peak_mb(broker.pid):.0f} MB")
    return rates, listed


def run_backlog(options):
    figures = {}
    with Lab("backlog") as lab, shown_on_failure(lab):
        sink = lab.smtp_sink()
        broker = lab.broker({"sink": sink_profile(sink.port)})
        others = Others()
        accepted = accept_all(lab, broker, options.messages)
        figures["accept, end to start"] = accepted[-1] / accepted[0]
        figures["broker, peak MB"] = peak_mb(broker.pid)
        figures["tpn queue ls, ms"] = list_time(lab, broker)
        figures["tpn queue ls, worst filter, ms"] = list_time(lab, broker, "--state", "FAILED")
        ours = sum(stat_cpu(broker.pid))
        check_equal(broker.stop(), 0, "exit status of the broker")
        figures["start after SIGTERM, s"] = start_time(lab, broker)
        broker.kill()
        figures["start after kill -9, s"] = start_time(lab, broker)
        drained, figures["tpn queue ls while draining, ms"] = drain_all(lab, broker, options.messages)
        figures["drain, end to start"] = drained[-1] / drained[0]
        figures["broker, peak MB"] = max(figures["broker, peak MB"], peak_mb(broker.pid))
        ours += sum(sum(stat_cpu(process.pid)) for process in lab.processes if process.alive()) + sum(os.times()[:4])
        busy = others.share(ours)
        lab.stop_all()
        check_sink(sink, options.messages)
    return figures, accepted, drained, busy


def report(options, figures, accepted, drained, busy):
    rows = [(name, f"{value:.2f}" if value < 10 else f"{value:.0f}", WANTED[name][0],
             "yes" if WANTED[name][1](value) else "NO") for name, value in figures.items()]

    def shape(rates):
        return " ".join(f"{rate / rates[0]:.2f}" for rate in rates)
    return [f"### backlog: {options.messages} requests in the queue, text of {PAYLOAD} bytes", "",
            f"Rest of the machine: {busy:.0%} of all cores: {'shared with others' if busy > 0.05 else 'quiet'}. "
            "Broker and worker with their defaults.", "",
            *table(1, ("figure", "value", "wanted", "kept"), rows), "",
            f"Rates of the {SLICES} slices as ratios to the first: accept {shape(accepted)}; drain {shape(drained)}. "
            f"The first slices: accept {accepted[0]:.0f}/s, drain {drained[0]:.0f}/s.", ""]


def main():
    parser = argparse.ArgumentParser(prog="run backlog", description="see the head of tests/bench/backlog.py")
    parser.add_argument("backlog")
    parser.add_argument("--messages", type=int, default=1000000)
    parser.add_argument("--data", type=pathlib.Path, default=BUILD_DIR / "bench-scratch")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--no-record", action="store_true")
    parser.add_argument("--given-build", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.log_level = "warn"
    os.environ["TPN_LOG_LEVEL"] = options.log_level
    if not os.access(SMTP_SOURCE, os.X_OK):
        raise Skip(f"{SMTP_SOURCE} is missing (package postfix)")
    check(options.messages % SLICES == 0, f"--messages must be a multiple of {SLICES}")
    options.data.mkdir(parents=True, exist_ok=True)
    options.data = options.data.resolve()
    tempfile.tempdir = str(options.data)
    day = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    lines = [f"## {day}", "", *machine_lines(options)]
    print("\n".join(lines), flush=True)
    lines += report(options, *run_backlog(options))
    print("\n".join(lines), flush=True)
    if not options.no_record:
        append(options.results, lines)
        say(f"recorded in {options.results.name}")


if __name__ == "__main__":
    try:
        main()
    except Skip as reason:
        print(f"cannot run: {reason}", file=sys.stderr)
        sys.exit(EXIT_SKIPPED)
    except Failure as reason:
        print(f"FAILED: {reason}", file=sys.stderr)
        sys.exit(1)
