"""backlog: a long queue. Requests are accepted until there are as many as the row says, then the broker is started again, asked,
and a worker drains the queue.

It compares with nobody, but with itself: the rate at which a worker drains the beginning of the long queue with that for a short
queue of a new store; the rates of the last slice with those of the first; and what the queue's length costs in memory and time."""
import contextlib
import statistics
import time

import tpn_wire
from bench_meter import Meter, bench_program, peak_mb, run_child, say, shown_on_failure, words_of
from bench_path import BenchWorker, check_sink, sink_profile
from bench_row import Comparison, Goal, Side
from tpn_harness import Lab, check_equal, wait_until
from tpn_wire import state_name

SLICES = 10
SHORT = 25         # the short queue: that part of the long one
RAMP = 0.2         # of the short queue, and as many of the long one, are gone before the clock starts: connections are made
PAYLOAD = 1024
WINDOW = 1000
JOBS = 400
ASKED = 5          # times that a question is put
DRAIN_LIMIT_S = 600.0


class Backlog:
    """Broker, sink and queue of one run."""

    def __init__(self, lab, messages):
        self.lab, self.messages = lab, messages
        self.sink = lab.smtp_sink()
        self.broker = lab.broker({"sink": sink_profile(self.sink.port)})
        self.gone = 0  # sent before the long queue was there
        self.peak = 0.0

    def accept(self, name, messages):
        """Rate."""
        child = run_child(self.lab, name, [
            bench_program("pipeline_bench"), "-a", "-n", messages, "-s", PAYLOAD, "-w", WINDOW,
            self.broker.endpoints["submit"], self.broker.endpoints["status"]])
        return words_of(child.out)["rate"]

    def accept_all(self):
        """Rate of each slice."""
        rates = []
        for number in range(SLICES):
            rates.append(self.accept(f"producer-{number}", self.messages // SLICES))
            say(f"accepted {(number + 1) * (self.messages // SLICES)}: {rates[-1]:.0f}/s, broker {peak_mb(self.broker.pid):.0f} MB")
        return rates

    @contextlib.contextmanager
    def asking(self):
        with contextlib.closing(tpn_wire.Publisher(self.lab.pb, self.broker.endpoints["admin"])) as link:
            yield link

    def sent(self, link):
        """Of the queue at hand."""
        stats = link.answer([b"TPN1.STATS", self.lab.pb.StatsAsk().SerializeToString()])[1]
        return {state_name(self.lab.pb, count.state): count.count for count in stats.states}.get("SENT", 0) - self.gone

    def rates(self, link, marks):
        """mails/s between each two of these numbers of mails."""
        rates, before = [], None
        for mark in marks:
            wait_until(lambda mark=mark: self.sent(link) >= mark, f"{mark:.0f} to be sent", DRAIN_LIMIT_S, every_s=0.02)
            now, count = time.monotonic(), self.sent(link)
            if before:
                rates.append((count - before[1]) / (now - before[0]))
                say(f"sent {count}: {rates[-1]:.0f}/s, broker {peak_mb(self.broker.pid):.0f} MB")
            before = now, count
        return rates

    def start_worker(self):
        return self.lab.add(BenchWorker(self.lab, self.broker, "worker", jobs=JOBS)).start()

    def drain_short(self, messages):
        self.accept("producer-short", messages)
        worker = self.start_worker()
        with self.asking() as link:
            rate = self.rates(link, (messages * RAMP, messages))[0]
            check_equal(self.sent(link), messages, "no result: mails of the short queue")
        check_equal(worker.stop(), 0, "exit status of the worker")
        self.gone = messages
        return rate

    def start_time(self):
        """From the start of the process to its first answer."""
        self.peak = max(self.peak, peak_mb(self.broker.pid))
        began = time.monotonic()
        self.broker.start()
        with self.asking() as link:
            self.sent(link)
        return time.monotonic() - began

    def list_time(self, *words):
        """Milliseconds of tpn queue ls, its start included."""
        times = []
        for _ in range(ASKED):
            began = time.monotonic()
            result = self.lab.tpn(self.broker, "queue", "ls", *words)
            times.append((time.monotonic() - began) * 1000)
            check_equal(result.returncode, 0, "exit status of tpn queue ls")
        return statistics.median(times)

    def restart(self, figures):
        self.peak = peak_mb(self.broker.pid)
        check_equal(self.broker.stop(), 0, "exit status of the broker")
        figures["start after SIGTERM, s"] = self.start_time()
        self.peak = max(self.peak, peak_mb(self.broker.pid))
        self.broker.kill()
        figures["start after kill -9, s"] = self.start_time()

    def drain_all(self, figures, short):
        """Rate of each slice. figures gets the time of a question meanwhile."""
        slice_of = self.messages // SLICES
        marks = [short * RAMP, *(slice_of * number for number in range(1, SLICES)), self.messages]
        with self.asking() as link:
            middle = SLICES // 2
            rates = self.rates(link, marks[:middle + 1])
            figures["tpn queue ls while draining, ms"] = self.list_time()  # not in the time of a slice
            rates += self.rates(link, [self.sent(link), *marks[middle + 1:]])
            check_equal(self.sent(link), self.messages, "no result: mails of the long queue")
        return rates


def run_backlog(setup):
    figures = {}
    messages = max(1, setup.messages // SLICES) * SLICES
    short = max(1, messages // SHORT)
    with Lab("backlog") as lab, shown_on_failure(lab):
        backlog = Backlog(lab, messages)
        figures["drain of a short queue, mails/s"] = backlog.drain_short(short)
        accepted = backlog.accept_all()
        figures["accept, first slice, receipts/s"] = accepted[0]
        figures["accept, last slice to first"] = accepted[-1] / accepted[0]
        figures["tpn queue ls, ms"] = backlog.list_time()
        figures["tpn queue ls, worst filter, ms"] = backlog.list_time("--state", "FAILED")
        backlog.restart(figures)
        worker = backlog.start_worker()
        meter = Meter([backlog.broker, worker, backlog.sink])
        drained = backlog.drain_all(figures, short)
        result = meter.finish(messages, figures)
        figures["drain, first slice, mails/s"] = drained[0]
        figures["drain, first slice to short queue"] = drained[0] / figures["drain of a short queue, mails/s"]
        figures["drain, slowest slice to short queue"] = min(drained) / figures["drain of a short queue, mails/s"]
        figures["drain, last slice to first"] = drained[-1] / drained[0]
        figures["broker, peak MB"] = max(backlog.peak, result.peak["broker"])
        for server in (worker, backlog.broker):
            check_equal(server.stop(), 0, f"exit status of {server.name}")
        check_sink(backlog.sink, messages + short)
    return result


def goal(figure, title="", **bound):
    return Goal(title or figure, "ours", figure, **bound)


COMPARISONS = (
    Comparison("backlog", f"a queue drained, text of {PAYLOAD} bytes, {SLICES} slices; short queue: 1/{SHORT} of it", 1000000, 20000,
               (Side("broker and worker", run_backlog, "ours"),),
               goals=(goal("drain, first slice to short queue", "drain rate with the whole queue to that with a short one", at_least=0.8),
                      goal("broker, peak MB", "broker with the whole queue, peak MB", at_most=100),
                      goal("accept, last slice to first", at_least=0.5), goal("drain, last slice to first", at_least=0.5),
                      goal("start after SIGTERM, s", at_most=5), goal("start after kill -9, s", at_most=5),
                      *(goal(figure, at_most=1000) for figure in (
                          "tpn queue ls, ms", "tpn queue ls, worst filter, ms", "tpn queue ls while draining, ms")))),
)
