"""What sides share: a sender straight into smtp-sink, and the durable path with its producer, broker, worker."""
import contextlib
import smtplib

from bench_meter import Meter, bench_program, run_child, shown_on_failure
from tpn_harness import Failure, Lab, Process, Worker, check, check_equal, smtp_profile, wait_until
from tpn_keys import Ring
from tpn_wire import SLOW

PAYLOAD = 4096        # bytes of text of a mail
LARGE = 102400
SOURCE_HEAD = 126     # what smtp-source -l adds to the text: the engine alone sends as much
SOURCE_MAIL = PAYLOAD + SOURCE_HEAD
SMTP_SOURCE = "/usr/sbin/smtp-source"
WINDOW = 1000         # messages under way in the durable path
JOBS = 400            # tpn-worker --jobs
CONNECTIONS = 10
COUNT_S = 10.0        # for smtp-sink to have counted what was sent
PRIME = 20            # messages through the durable path before the clock starts


def check_sink(sink, wanted):
    """Exactly that many mails. The senders have ended; a session of our own flushes what the sink has yet to read."""
    with contextlib.suppress(Failure):  # what it did not reach is told below
        wait_until(lambda: sink.count() >= wanted or not sink.alive(), "smtp-sink to count", COUNT_S)
    check(sink.alive(), "smtp-sink ended")
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=10 * SLOW):
        pass
    check_equal(sink.count(), wanted, "no result: mails that smtp-sink counted")


def straight(name, make_argv):
    """A side that sends N mails into a new smtp-sink and ends."""
    def run(setup):
        with Lab("bench") as lab, shown_on_failure(lab):
            sink = lab.smtp_sink()
            meter = Meter([sink])
            child = run_child(lab, name, make_argv(setup, sink.port))
            result = meter.finish(setup.messages, {"mails/s": setup.messages / child.seconds}, child)
            check_sink(sink, setup.messages)
            return result
    return run


def smtp_source(connections, size=PAYLOAD, recipients=1):
    return straight("smtp-source", lambda setup, port: [
        SMTP_SOURCE, "-d", "-s", connections, "-m", setup.messages, "-l", size, "-r", recipients, "-f", "a@example.org", "-t",
        "b@example.org", f"127.0.0.1:{port}"])


def engine(connections, size=PAYLOAD, recipients=1):
    return straight("engine", lambda setup, port: [
        bench_program("smtp_engine_bench"), "-c", connections, "-n", setup.messages, "-s", size + SOURCE_HEAD, "-r", recipients,
        f"127.0.0.1:{port}"])


class BenchWorker(Worker):
    """Its log may be silent: the messages of prime() tell that it is there."""

    def start(self):
        return Process.start(self)


class Path:
    """Broker and worker of a lab, with one profile, "sink"; with keys on every socket, or plain."""

    def __init__(self, lab, profile, roots=(), keys=False):
        self.lab = lab
        self.ring = None
        if keys:
            self.ring = Ring(lab)
            self.ring.new("bench", "producer")
            self.ring.new("worker", "worker")
        self.broker = lab.broker({"sink": profile}, self.ring and self.ring.config())
        self.worker = lab.add(BenchWorker(lab, self.broker, "worker", roots=roots, jobs=JOBS,
                                          config=self.ring and self.ring.worker("worker"))).start()
        self.servers = [self.broker, self.worker]
        self.send("prime", PRIME, PRIME)

    def send(self, name, messages, window, rate=None, beside=()):
        """pipeline_bench: fails by itself when a message ends twice, or not SENT or HANDED_OFF. With a rate: so many a
        second, whatever comes back."""
        return run_child(self.lab, name, [
            bench_program("pipeline_bench"), "-n", messages, "-s", PAYLOAD, "-w", window,
            *(["-r", f"{rate:.3f}"] if rate else []),
            *(["-k", self.ring.path("bench"), "-K", self.ring.path("broker", ending="pub")] if self.ring else []),
            self.broker.endpoints["submit"], self.broker.endpoints["status"]], beside=beside)

    def stop(self):
        """The worker drains: what it delivers a second time, it has delivered by now."""
        for server in (self.worker, self.broker):
            check_equal(server.stop(), 0, f"exit status of {server.name}")


def sink_profile(port, connections=CONNECTIONS):
    return smtp_profile(port, max_connections=connections, max_messages_per_connection=100000)


def check_identities(ids, wanted):
    """The Message-ID is made of the request's id, so each is there once when nothing was doubled."""
    check(all(ids), "no result: a mail without Message-ID")
    check_equal(len(set(ids)), wanted, "no result: different mails that arrived")
    check_equal(len(ids), wanted, "no result: mails that arrived")


def times_of(said):
    """Figures of what pipeline_bench said."""
    return {"receipt p50, ms": said["receipt_p50_ms"], "receipt p99, ms": said["receipt_p99_ms"],
            "final p50, ms": said["final_p50_ms"], "final p99, ms": said["final_p99_ms"]}
