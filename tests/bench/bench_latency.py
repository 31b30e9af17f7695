"""latency: one message at a time through the idle durable path, beside what the disk alone asks."""
import os
import time

from bench_meter import Meter, shown_on_failure, words_of
from bench_path import PRIME, SOURCE_MAIL, Path, check_sink, sink_profile, times_of
from bench_row import Comparison, Goal, Side
from tpn_harness import Lab


def durable_latency(setup):
    with Lab("bench") as lab, shown_on_failure(lab):
        sink = lab.smtp_sink()
        path = Path(lab, sink_profile(sink.port))
        meter = Meter([*path.servers, sink])
        child = path.send("producer", setup.messages, 1)
        result = meter.finish(setup.messages, times_of(words_of(child.out)), child)
        path.stop()
        check_sink(sink, setup.messages + PRIME)
        return result


def disk_latency(setup):
    """What the disk asks for one durable message: append its bytes, fdatasync."""
    with Lab("bench") as lab:
        times = []
        meter = Meter([])
        with open(lab.dir / "log", "ab", buffering=0) as file:
            for _ in range(setup.messages):
                start = time.monotonic()
                file.write(b"x" * SOURCE_MAIL)
                os.fdatasync(file.fileno())
                times.append((time.monotonic() - start) * 1000)
        times.sort()
        return meter.finish(setup.messages, {"receipt p50, ms": times[len(times) // 2],
                                             "receipt p99, ms": times[len(times) * 99 // 100]})


def goal(title, figure, bound):
    return Goal(f"single alert, idle system: {title}", "ours", figure, at_most=bound)


COMPARISONS = (
    Comparison("latency", "one message at a time, into smtp-sink", 1000, 50,
               (Side("the disk alone: append 4 KB, fdatasync", disk_latency),
                Side("durable: producer, broker, worker", durable_latency, "ours")),
               goals=(goal("receipt p50, ms", "receipt p50, ms", 0.4), goal("receipt p99, ms", "receipt p99, ms", 1),
                      goal("status p50, ms", "final p50, ms", 0.8), goal("status p99, ms", "final p99, ms", 2))),
)
