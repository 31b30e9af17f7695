"""The disk of the store is full: producers hear busy and why, what was accepted goes on as far as it can, nothing is lost
or doubled, and the broker goes on by itself when there is room again.

The disk is a small tmpfs in a mount namespace of its own, held by a process that sleeps; the broker is started inside."""
import collections
import os
import pathlib
import subprocess

from tpn_harness import Broker, Process, Skip, check, check_equal, run, smtp_profile, wait_until
from tpn_stage import PlainWorker
from tpn_wire import state_name

DISK_MIB = 24
KIB = 1024
MIB = 1024 * KIB
QUICK = {"retry": {"delays": ["1s"]}}


class Disk(Process):
    """A tmpfs at a folder, seen by whoever enters the namespace of this process."""

    def __init__(self, lab, folder):
        self.folder = folder
        words = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount", "--propagation", "private",
                 "sh", "-c", f"mount -t tmpfs -o size={DISK_MIB}m none '{folder}' && echo mounted && exec sleep infinity"]
        super().__init__(lab, "disk", words)

    def start(self):
        super().start()
        wait_until(lambda: "mounted" in self.text() or not self.alive(), "the small disk")
        if not self.alive():
            raise Skip(f"no mount namespace here: {self.text().strip()}")
        return self

    def enter(self):
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", f"--target={self.pid}", *user, "--mount", "--root", "--"]

    def inside(self, name):
        return pathlib.Path(f"/proc/{self.pid}/root{self.folder}/{name}")

    def free_bytes(self):
        space = os.statvfs(self.inside(""))
        return space.f_bavail * space.f_frsize

    def fill(self, leave_bytes):
        """A file that takes the room but for so many bytes."""
        with open(self.inside("ballast"), "ab", buffering=0) as file:
            while (room := self.free_bytes() - leave_bytes) > 0:
                try:
                    file.write(b"x" * min(room, MIB))
                except OSError:
                    return

    def empty(self):
        self.inside("ballast").unlink()


class SmallBroker(Broker):
    """Its data folder lies on the small disk."""

    def __init__(self, lab, profiles, config):
        super().__init__(lab, profiles, config)
        self.disk = lab.add(Disk(lab, self.data)).start()

    def command(self):
        return [*self.disk.enter(), *super().command()]


def small_broker(lab, reserve):
    sink = lab.sink("--delay-ms", "20")
    broker = lab.add(SmallBroker(lab, {"lab": smtp_profile(sink.port, max_connections=2)},
                                 {**QUICK, "store": {"reserve": reserve}})).start()
    return sink, broker, lab.publisher(broker)


def told(lab, receipt):
    return lab.pb.ReceiptStatus.Name(receipt.status).removeprefix("RECEIPT_STATUS_")


def states(lab, publisher, ids):
    return dict(collections.Counter(state_name(lab.pb, answer.state) for answer in publisher.query(ids)))


def check_end(lab, broker, sink, publisher, ids):
    """Everything accepted is sent, once; and the store is sound, now and after a new start."""
    wait_until(lambda: states(lab, publisher, ids) == {"SENT": len(ids)}, "everything to be sent", 60, every_s=0.5)
    arrived = collections.Counter(mail["id"] for mail in sink.mails())
    check_equal((len(arrived), max(arrived.values())), (len(ids), 1), "mails: different ones, most of one")
    check_equal(broker.stop(), 0, "exit status of the broker")
    result = subprocess.run([*broker.command(), "--check-store"], capture_output=True, text=True, check=False)
    check_equal(result.returncode, 0, f"--check-store: {result.stdout}{result.stderr}")
    broker.start()
    check_equal(states(lab, publisher, ids), {"SENT": len(ids)}, "after a new start")


def test_reserve_keeps_room_for_what_was_accepted(lab):
    sink, broker, publisher = small_broker(lab, "8MiB")
    ids = [f"early-{number}" for number in range(40)]
    for name in ids:
        check_equal(told(lab, publisher.submit(lab.request(name))), "ACCEPTED", name)
    broker.disk.fill(6 * MIB)
    number = iter(range(1000000))
    wait_until(lambda: told(lab, publisher.submit(lab.request(f"probe-{next(number)}"))) == "BUSY", "the broker to be busy")
    probes = [f"probe-{n}" for n in range(next(number) - 1)]  # these were still accepted
    receipt = publisher.submit(lab.request("late"))
    check_equal(told(lab, receipt), "BUSY", "with less than the reserve")
    check("disk" in receipt.reason and receipt.retry_after_ms > 0, f"{receipt.reason!r}, {receipt.retry_after_ms} ms")
    check_equal(told(lab, publisher.submit(lab.request(ids[0]))), "DUPLICATE", "what is known is told all the same")
    lab.worker(broker)  # settling goes on
    wait_until(lambda: states(lab, publisher, ids) == {"SENT": len(ids)}, "what was accepted to be sent", 60, every_s=0.5)
    check_equal(told(lab, publisher.submit(lab.request("late"))), "BUSY", "still")
    broker.disk.empty()
    wait_until(lambda: told(lab, publisher.submit(lab.request("late"))) in ("ACCEPTED", "DUPLICATE"), "room again", 20,
               every_s=0.2)
    check_end(lab, broker, sink, publisher, [*ids, *probes, "late"])


def test_no_room_at_all(lab):
    """Without a reserve every commit fails: nothing is told that is not on disk, and nothing is sent without its permit."""
    sink, broker, publisher = small_broker(lab, "0")
    lab.worker(broker)
    pid = broker.pid
    ids = [f"early-{number}" for number in range(200)]
    for name in ids:
        check_equal(told(lab, publisher.submit(lab.request(name))), "ACCEPTED", name)
    wait_until(lambda: sink.count() >= 20, "some mails", 30, every_s=0.01)
    broker.disk.fill(0)
    number = iter(range(1000000))
    receipt = None

    def refused():
        nonlocal receipt
        # Larger than what is free in pages that the log has already.
        receipt = publisher.submit(lab.request(f"probe-{next(number)}", labels=[lab.pb.Label(name="x", value="y" * 200)]))
        broker.disk.fill(0)
        return told(lab, receipt) == "BUSY"
    wait_until(refused, "the broker to be busy", 30)
    probes = [f"probe-{n}" for n in range(next(number) - 1)]
    check("full" in receipt.reason and receipt.retry_after_ms > 0, f"{receipt.reason!r}, {receipt.retry_after_ms} ms")
    stats = lab.tpn(broker, "status")
    check("full" in stats.stdout + stats.stderr, f"tpn status does not say it: {stats.stdout}{stats.stderr}")
    check(sink.count() < len(ids), "everything was sent before: the test shows nothing")
    broker.disk.empty()
    wait_until(lambda: told(lab, publisher.submit(lab.request("late"))) in ("ACCEPTED", "DUPLICATE"), "room again", 20,
               every_s=0.2)
    check_equal(broker.pid, pid, "the broker is the same process")
    check_end(lab, broker, sink, publisher, [*ids, *probes, "late"])


def test_a_job_that_left_before_its_accept_failed(lab):
    """Its ACCEPT finds no room on the disk: the producer hears busy, and the worker that has the JOB gets no permit."""
    broker = lab.add(SmallBroker(lab, {"lab": smtp_profile(9)}, {**QUICK, "store": {"reserve": "0"}})).start()
    publisher = lab.publisher(broker)
    worker = PlainWorker(lab, broker)

    check_equal(told(lab, publisher.submit(lab.request("first"))), "ACCEPTED", "the first")
    worker.deliver(worker.job().lease, "first")  # until then the broker may still be reading what an earlier start left
    big = lab.request("big")
    big.message.attachments.add(file_name="report.bin", content=bytes(512 * KIB))
    broker.disk.fill(128 * KIB)
    check_equal(told(lab, publisher.submit(big)), "BUSY", "with no room for it")
    lease = worker.job().lease
    worker.ask(lease)
    worker.check_permit(denied=[lease])
    check_equal(publisher.state("big"), "UNSPECIFIED", "what is known of it")
    worker.say(b"TPN1.CREDIT", lab.pb.Credit(jobs=1))
    broker.disk.empty()
    wait_until(lambda: told(lab, publisher.submit(big)) in ("ACCEPTED", "DUPLICATE"), "room again", 20, every_s=0.2)
    again = worker.job().lease
    check(again > lease, f"lease {again} behind {lease}")
    worker.deliver(again, "big")
    check_equal(publisher.state("big"), "SENT", "in the end")


def test_an_edit_that_cannot_be_written_changes_nothing(lab):
    """Its operator hears it, and the mail goes by the profile that it had."""
    sink, other = lab.sink(), lab.sink()
    broker = lab.add(SmallBroker(lab, {"lab": smtp_profile(sink.port), "other": smtp_profile(other.port)},
                                 {**QUICK, "store": {"reserve": "0"}})).start()
    publisher = lab.publisher(broker)
    check_equal(told(lab, publisher.submit(lab.request("r"))), "ACCEPTED", "the request")
    broker.disk.fill(0)
    number = iter(range(1000000))

    def refused():
        publisher.submit(lab.request(f"probe-{next(number)}", labels=[lab.pb.Label(name="x", value="y" * 200)]))
        broker.disk.fill(0)
        there = publisher.query(["r"])[0].profile
        result = lab.tpn(broker, "queue", "edit", "r", "--to-profile", "lab" if there == "other" else "other")
        return result.returncode == 1 and "the store cannot write now" in result.stdout
    wait_until(refused, "an edit to be refused", 30)
    profile = publisher.query(["r"])[0].profile
    broker.disk.empty()
    lab.worker(broker)
    wait_until(lambda: states(lab, publisher, ["r"]) == {"SENT": 1}, "the mail", 30)
    check_equal(publisher.query(["r"])[0].profile, profile, "its profile")
    port = sink.port if profile == "lab" else other.port
    check_equal(publisher.query(["r"], with_history=True)[0].history[-1].server, f"127.0.0.1:{port}", "the server that got it")


run(globals())
