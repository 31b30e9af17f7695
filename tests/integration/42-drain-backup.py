"""Top, drain, backup, and restarts one after another under load: nothing is lost, nothing is doubled.

TPN_ROLLING=N makes the load N times as long."""
import collections
import os
import shutil
import subprocess
import threading
import time

from tpn_harness import check, check_equal, find_program, run, smtp_profile, wait_until


def test_top_counts_what_waits(lab):
    broker = lab.broker({"lab": smtp_profile(1), "office": smtp_profile(1)})
    publisher = lab.publisher(broker)
    for i in range(5):
        publisher.submit(lab.request(f"l{i}", to=["ann@a.test", "bob@b.test", "cid@b.test"]))
    publisher.submit(lab.request("o", profile="office", to=["ann@a.test"]))
    publisher.submit(lab.request("gone", to=["ann@a.test"]))
    check_equal(lab.tpn(broker, "queue", "cancel", "gone").returncode, 0, "cancel")

    def top(*argv):
        result = lab.tpn(broker, "queue", "top", *argv)
        check_equal(result.returncode, 0, f"top {argv}: {result.stderr}")
        rows = [line.split() for line in result.stdout.splitlines()[1:]]
        return {row[0]: (int(row[1]), int(row[2])) for row in rows}
    check_equal(top(), {"all": (6, 6), "lab": (5, 5), "office": (1, 1)}, "by profile")
    check_equal(top("--by", "domain"), {"all": (11, 11), "a.test": (6, 6), "b.test": (5, 5)}, "by domain")
    check_equal(top("--by", "producer", "--profile", "office"), {"all": (1, 1), "local": (1, 1)}, "by producer")
    check_equal(top("--older", "1h"), {"all": (0, 0)}, "nothing is that old")
    check_equal(top("--state", "CANCELLED"), {"all": (1, 1), "lab": (1, 1)}, "a final state by name")
    check_equal(lab.tpn(broker, "queue", "top", "--by", "colour").returncode, 2, "no such group")


def test_drain_of_a_worker_and_of_the_broker(lab):
    sink = lab.sink("--delay-ms", "50")
    broker = lab.broker({"lab": smtp_profile(sink.port)})
    first, second = lab.worker(broker, "w1"), lab.worker(broker, "w2")
    publisher = lab.publisher(broker)
    for i in range(40):
        publisher.submit(lab.request(f"r{i}"))
    result = lab.tpn(broker, "queue", "drain", "w1", "--wait", "--wait-timeout", "60")
    check_equal((result.returncode, result.stdout.splitlines()[0]), (0, "w1 drains"), f"drain: {result.stderr}")
    wait_until(lambda: not first.alive(), "the worker to end")
    check_equal((first.child.returncode, second.alive()), (0, True), "w1 ended well, w2 goes on")
    check_equal(lab.tpn(broker, "queue", "drain", "w1").returncode, 3, "a worker that is gone")
    result = lab.tpn(broker, "queue", "drain", "--wait", "--reason", "new disk", "--wait-timeout", "60")
    check_equal(result.returncode, 0, f"drain of the broker: {result.stderr}")
    check_equal((sink.count(), publisher.state("r39")), (40, "SENT"), "what was accepted is sent")
    receipt = publisher.submit(lab.request("late"))
    check_equal(lab.pb.ReceiptStatus.Name(receipt.status), "RECEIPT_STATUS_BUSY", "nothing new")
    check(receipt.retry_after_ms > 0 and "new disk" in receipt.reason, f"when and why: {receipt}")
    check("new disk" in lab.tpn(broker, "status").stdout, "status says so")
    check_equal(lab.tpn(broker, "queue", "drain", "--end").returncode, 0, "end")
    check_equal(lab.pb.ReceiptStatus.Name(publisher.submit(lab.request("late")).status), "RECEIPT_STATUS_ACCEPTED", "again")


def test_a_backup_opens_and_sends_nothing_by_itself(lab):
    """Made under load; what was not final is held in it, its epoch is above that of the store it came from."""
    sink = lab.sink()
    broker = lab.broker({"lab": smtp_profile(sink.port)})
    epoch = lab.follower(broker)  # long before it is needed: a subscription takes effect when it gets there
    lab.worker(broker)
    publisher = lab.publisher(broker)
    for i in range(3):
        publisher.submit(lab.request(f"sent-{i}"))
    wait_until(lambda: sink.count() == 3, "three mails")
    later = int(time.time() * 1000) + 3600000
    publisher.submit(lab.request("waits", not_before_ms=later))
    pipeline = lab.pipeline(broker)
    body = "x" * 20000
    for i in range(500):
        request = lab.request(f"load-{i}", not_before_ms=later)
        request.message.text = body
        pipeline.send(request)
    copy = lab.dir / "copy.db"
    result = lab.tpn(broker, "queue", "backup", copy)
    check_equal(result.returncode, 0, f"backup: {result.stdout} {result.stderr}")
    check(not list(lab.dir.glob("*.part")) and not list(broker.data.glob("backup*")), "nothing is left over")
    pipeline.settle(60)
    check_equal(lab.tpn(broker, "queue", "cancel", "waits").returncode, 0, "after the backup")
    check_equal(lab.tpn(broker, "queue", "backup", lab.dir / "no" / "such" / "folder").returncode, 2, "no place for it")
    publisher.submit(lab.request("epoch"))
    epoch.wait_state("epoch", "SENT")
    lab.stop_all()

    other = lab.folder("restored/data")
    shutil.copy(copy, other / "store.db")
    done = subprocess.run([find_program("tpn-broker"), "--data", str(other), "--check-store"], capture_output=True,
                          text=True, check=False)
    check_equal(done.returncode, 0, f"--check-store: {done.stdout} {done.stderr}")
    restored = lab.broker({"lab": smtp_profile(sink.port)}, name="restored")
    follower = lab.follower(restored)
    lab.worker(restored, "w2")
    publisher = lab.publisher(restored)
    publisher.submit(lab.request("new"))
    event = follower.wait_state("new", "SENT")
    check(event.epoch > epoch.of("epoch")[-1].epoch + 1000, "the epoch is above what the old store can use")
    check_equal((publisher.state("sent-1"), publisher.state("waits")), ("SENT", "ACCEPTED"), "states of the backup")
    shown = lab.tpn(restored, "queue", "show", "waits").stdout
    check("held" in shown and "may have been sent since" in shown, shown)
    check_equal(lab.tpn(restored, "evidence", "verify").returncode, 0, "its evidence")
    check_equal(lab.tpn(restored, "queue", "release", "waits").returncode, 0, "release")
    check_equal(lab.tpn(restored, "queue", "retry", "waits").returncode, 1, "it waits for its time")


def test_restarts_one_after_another_lose_and_double_nothing(lab):
    """Three workers and the broker are restarted in turn, by SIGTERM, while requests come in and go out."""
    sink = lab.sink("--delay-ms", "3")
    broker = lab.broker({"lab": smtp_profile(sink.port)}, {"retry": {"delays": ["1s"]}})
    workers = [lab.worker(broker, f"w{i}") for i in range(3)]
    pipeline = lab.pipeline(broker)
    long = int(os.environ.get("TPN_ROLLING", "1"))
    over = threading.Event()
    names = []

    def publish():
        while not over.is_set():
            for _ in range(5):
                names.append(f"r{len(names)}")
                pipeline.send(lab.request(names[-1], to=[f"{names[-1]}@e.test"]))
            pipeline.collect(5)
            time.sleep(0.01)
    thread = threading.Thread(target=publish)
    thread.start()
    try:
        for _ in range(2 * long):
            for worker in workers:
                before = sink.count()
                check_equal(worker.stop(), 0, f"{worker.name} drains")
                worker.start()
                wait_until(lambda before=before: sink.count() > before + 20, "mail to flow", 30)
            check_equal(broker.stop(), 0, "the broker ends")
            broker.start()
            before = sink.count()
            wait_until(lambda before=before: sink.count() > before + 20, "mail to flow", 30)
    finally:
        over.set()
        thread.join()
    pipeline.settle(60)
    wait_until(lambda: sink.count() >= len(names), "all mails", 60)
    publisher = lab.publisher(broker)

    def states():
        found = collections.Counter()
        for i in range(0, len(names), 500):
            found.update(lab.pb.State.Name(r.state) for r in publisher.query(names[i:i + 500]))
        return found
    wait_until(lambda: states() == {"STATE_SENT": len(names)}, f"every request to be SENT, not {states()}", 30)
    arrivals = collections.Counter(mail["rcpt"][0] for mail in sink.mails())
    check_equal([name for name in names if arrivals[f"{name}@e.test"] != 1], [], "lost or doubled")


run(globals())
