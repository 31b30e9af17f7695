"""scale and memory: several workers, or many connections in one, against a server that is far away.

A profile's max_connections is that of the whole pool, shared out among its workers; so with N workers it is N times as large."""
import contextlib
import re

import tpn_wire
from bench_meter import Meter, bench_program, run_child, shown_on_failure, words_of
from bench_path import BenchWorker
from bench_row import Comparison, Goal, Side
from bench_sink import start_sink
from tpn_harness import Lab, check, check_equal, smtp_profile, wait_until

DELAY_MS = 50
EACH = 10          # connections of a worker in scale
FEW, MANY = 100, 1000   # connections of the worker in memory
MEMORY_JOBS = 3000      # two mails for each connection, and some; the same with few and many, so that only the connections differ
MEMORY_DELAY_MS = 100
TEXT = 512         # bytes of text of a mail in memory


class Crew:
    """Broker, workers and sink of a lab; every connection that the profile allows stands."""

    def __init__(self, lab, workers, connections, jobs, delay_ms, tls=""):
        self.lab, self.sent, self.connections = lab, 0, connections
        self.sink = start_sink(lab, delay_ms=delay_ms, tls=tls)
        security = {"use_tls": True, "tls_mode": tls, "ca_file": str(self.sink.ca)} if tls else {}
        self.broker = lab.broker({"sink": smtp_profile(self.sink.port, max_connections=connections,
                                                       max_messages_per_connection=100000, **security)})
        self.workers = [lab.add(BenchWorker(lab, self.broker, f"worker-{number + 1}", jobs=jobs)).start()
                        for number in range(workers)]
        with contextlib.closing(tpn_wire.Publisher(lab.pb, self.broker.endpoints["admin"])) as link:
            wait_until(lambda: len(self.stats(link).workers) == workers, "the workers to be known", every_s=0.05)

    def stats(self, link):
        return link.answer([b"TPN1.STATS", self.lab.pb.StatsAsk().SerializeToString()])[1]

    def send(self, name, messages, size=4096, window=6000):
        self.sent += messages
        return run_child(self.lab, name, [bench_program("pipeline_bench"), "-n", messages, "-s", size, "-w", window,
                                          self.broker.endpoints["submit"], self.broker.endpoints["status"]])

    def open_all(self, size=4096):
        """Mails until as many connections are open as may be."""
        for _ in range(20):
            if self.sink.tally()["open"] >= self.connections:
                break
            self.send("prime", self.connections * 10, size)
        check_equal(self.sink.tally()["open"], self.connections, "no result: open connections")

    def finish(self):
        for server in (*self.workers, self.broker):
            check_equal(server.stop(), 0, f"exit status of {server.name}")
        self.sink.check_mails(self.sent)


def scaled(workers):
    def run(setup):
        with Lab("bench") as lab, shown_on_failure(lab):
            crew = Crew(lab, workers, workers * EACH, 100, DELAY_MS)
            crew.open_all()
            meter = Meter([crew.broker, *crew.workers, crew.sink])
            rate = words_of(crew.send("producer", setup.messages).out)["rate"]
            result = meter.finish(setup.messages, {
                "mails/s": rate, "of connections / delay": rate * DELAY_MS / 1000 / (workers * EACH)})
            for figures, add in ((result.cpu, lambda pairs: tuple(map(sum, zip(*pairs)))), (result.peak, sum)):
                figures["workers"] = add([figures.pop(worker.name) for worker in crew.workers])
            crew.finish()
            return result
    return run


# --- Memory


def resident_kb(pid, name):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return int(re.search(rf"^{name}:\s+(\d+) kB", file.read(), re.M).group(1))


def resident(connections, tls, messages):
    """(kB now, with every connection open and no mail under way; kB at the most) of a worker."""
    with Lab("bench") as lab, shown_on_failure(lab):
        crew = Crew(lab, 1, connections, MEMORY_JOBS, MEMORY_DELAY_MS, tls)
        crew.open_all(TEXT)
        crew.send("producer", messages, TEXT)
        check(crew.sink.tally()["open"] == connections, "no result: a connection was closed")
        figures = [resident_kb(crew.workers[0].pid, name) for name in ("VmRSS", "VmHWM")]
        crew.finish()
        return figures


def memory(tls):
    """The slope between few and many connections of two worker processes that are equal in all else."""
    def run(setup):
        meter = Meter([])
        few, many = (resident(connections, tls, setup.messages) for connections in (FEW, MANY))
        now, most = ((many[i] - few[i]) / (MANY - FEW) for i in (0, 1))
        return meter.finish(setup.messages, {"KB a connection": now, "KB a connection at the peak": most,
                                             f"MB with {MANY}": many[0] / 1024})
    return run


COMPARISONS = (
    Comparison("scale", f"workers with {EACH} connections each, a server that answers after {DELAY_MS} ms", 8000, 800,
               tuple(Side(f"{workers} worker{'s' * (workers > 1)}", scaled(workers), f"{workers}", share=workers / 8)
                     for workers in (1, 2, 4, 8)),
               goals=(Goal("mails/s, 8 workers to 1", "8", "mails/s", "1", at_least=7.5),)),
    Comparison("memory", f"one worker, {MANY} connections beside {FEW}", 6000, 2000,
               (Side("clear text", memory(""), "clear"), Side("STARTTLS", memory("starttls"), "starttls"),
                Side("TLS from the start", memory("implicit"), "implicit")),
               goals=(Goal("KB a connection, clear text", "clear", "KB a connection", at_most=25),
                      Goal("KB a connection, STARTTLS", "starttls", "KB a connection", at_most=85),
                      Goal("KB a connection, TLS from the start", "implicit", "KB a connection", at_most=85))),
)
