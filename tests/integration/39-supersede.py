"""A newer request with the same key takes the place of what waits; withdrawing without one; what may be on its way stays."""
import contextlib
import time

import tpn_wire
from tpn_harness import check, check_equal, run, smtp_profile, wait_until
from tpn_wire import outcome_name

LATE = {"retry": {"delays": ["1h"]}, "worker": {"beat": "200ms", "liveness": "3s"}}
KEY = "asset 4711: due"


def later(hours=1):
    return int((time.time() + 3600 * hours) * 1000)


def reason_of(publisher, request_id):
    return publisher.query([request_id])[0].reason


def test_what_waits_is_withdrawn_in_each_state(lab):
    """On disk for later, in the window, deferred, leased: CANCELLED, and the newest one goes."""
    sink = lab.sink()
    silent = lab.faultd("greet-never")
    grey = lab.faultd()
    broker = lab.broker({"lab": smtp_profile(sink.port), "grey": smtp_profile(grey.port),
                         "silent": smtp_profile(silent.port, connect_timeout="60s")}, LATE)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("later", supersede_key="a", not_before_ms=later()))
    publisher.submit(lab.request("window", supersede_key="b"))
    publisher.submit(lab.request("other", supersede_key="z", not_before_ms=later()))
    publisher.submit(lab.request("new-a", supersede_key="a", not_before_ms=later()))
    publisher.submit(lab.request("new-b", supersede_key="b"))
    lab.worker(broker, config={"drain": "200ms"})
    publisher.submit(lab.request("deferred", profile="grey", to=["grey1@e.test"], supersede_key="c"))
    publisher.submit(lab.request("leased", profile="silent", supersede_key="d"))
    follower.wait_state("deferred", "DEFERRED")
    follower.wait_state("leased", "LEASED")
    publisher.submit(lab.request("new-c", supersede_key="c"))
    publisher.submit(lab.request("new-d", supersede_key="d"))
    for name in ("b", "c", "d"):
        follower.wait_state(f"new-{name}", "SENT")
    for old, new in (("later", "a"), ("window", "b"), ("deferred", "c"), ("leased", "d")):
        check_equal(publisher.state(old), "CANCELLED", old)
        check_equal(reason_of(publisher, old), f"superseded by new-{new}", f"reason of {old}")
        check_equal([outcome_name(lab.pb, r.outcome) for r in publisher.query([old])[0].recipients], ["REFUSED"], old)
    check_equal(publisher.state("other"), "ACCEPTED", "another key")
    check_equal(publisher.state("new-a"), "ACCEPTED", "the newest of a")
    check_equal(sink.count(), 3, "mails at the server")


def test_one_commit_for_both(lab):
    """kill -9 at any moment: never both waiting, never neither."""
    broker = lab.broker({"lab": smtp_profile(lab.sink().port)}, LATE)
    for turn in range(6):
        pipeline = lab.pipeline(broker)
        names = [f"t{turn}-{n}" for n in range(300)]
        for name in names:
            pipeline.send(lab.request(name, supersede_key=f"turn {turn}", not_before_ms=later()))
        time.sleep(0.01 * turn)  # not to be right: any moment will do
        broker.kill()
        broker.start()
        publisher = lab.publisher(broker)
        states = [publisher.state(name) for name in names]
        known = [state for state in states if state != "UNSPECIFIED"]
        check_equal(known.count("ACCEPTED"), 1 if known else 0, f"waiting ones of {len(known)} in turn {turn}")
        check(set(known) <= {"ACCEPTED", "CANCELLED"}, f"states: {set(known)}")
        if known:
            check_equal(known[-1], "ACCEPTED", "the newest one waits")


def test_driven_again_while_a_newer_one_comes(lab):
    """What waits again when the newer one is accepted is withdrawn, however close the two come."""
    broker = lab.broker({"lab": smtp_profile(lab.sink().port)}, LATE)
    follower = lab.follower(broker)
    admin = lab.enter_context(contextlib.closing(tpn_wire.Pipeline(lab.pb, broker.endpoints["admin"])))
    pipeline = lab.pipeline(broker)
    for turn in range(8):
        numbers = range(60)
        olds = [f"old-{turn}-{n}" for n in numbers]
        news = [f"new-{turn}-{n}" for n in numbers]
        for n in numbers:
            pipeline.send(lab.request(olds[n], supersede_key=f"{turn} {n}", not_before_ms=later()))
        pipeline.settle(20)
        check_equal(lab.tpn(broker, "queue", "cancel", *olds).returncode, 0, "cancel")
        for n in numbers:
            pipeline.send(lab.request(news[n], supersede_key=f"{turn} {n}", not_before_ms=later()))
            if n % 4 == 3:
                redrive = lab.pb.QueueAct(operation=lab.pb.OPERATION_REDRIVE, ids=olds[n - 3:n + 1], operator="ann")
                admin.socket.send_multipart([b"TPN1.QUEUE_ACT", redrive.SerializeToString()])
        for _ in range(0, 60, 4):
            acted = lab.pb.QueueActed.FromString(admin.socket.recv_multipart()[1])
            check_equal([result.done for result in acted.results], [True] * 4, "driven again")
        pipeline.settle(20)
        for old, new in zip(olds, news, strict=True):
            follower.wait_state(new, "ACCEPTED")
            follower.wait_for(lambda f, old=old: f.states(old).count("ACCEPTED") == 2, f"{old} to wait again")
            again = [event for event in follower.of(old) if event.state == lab.pb.STATE_ACCEPTED][1]
            if again.sequence < follower.of(new)[0].sequence:
                follower.wait_state(old, "CANCELLED")


def test_the_same_request_again_supersedes_nothing(lab):
    broker = lab.broker({"lab": smtp_profile(lab.sink().port)}, LATE)
    publisher = lab.publisher(broker)
    old = lab.request("old", supersede_key=KEY, not_before_ms=later())
    new = lab.request("new", supersede_key=KEY, not_before_ms=later())
    check_equal(publisher.submit(old).status, lab.pb.RECEIPT_STATUS_ACCEPTED, "old")
    check_equal(publisher.submit(new).status, lab.pb.RECEIPT_STATUS_ACCEPTED, "new")
    check_equal(publisher.submit(old).status, lab.pb.RECEIPT_STATUS_DUPLICATE, "old again")
    check_equal((publisher.state("old"), publisher.state("new")), ("CANCELLED", "ACCEPTED"), "states")
    refused = publisher.submit(lab.request("new", supersede_key="else", to=["x@y.test"], not_before_ms=later()))
    check_equal(refused.status, lab.pb.RECEIPT_STATUS_REJECTED, "same id, other content")
    check_equal(publisher.state("new"), "ACCEPTED", "the first one")


def test_what_may_be_on_its_way_stays(lab):
    server = lab.faultd("stall-after-dot")
    broker = lab.broker({"lab": smtp_profile(server.port, content_timeout="3s")}, LATE)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("away", supersede_key=KEY))
    wait_until(lambda: len(server.contents) == 1, "the content at the server")
    result = lab.tpn(broker, "withdraw", KEY)
    check_equal((result.returncode, result.stdout), (1, "0 withdrawn, 1 may be on their way\n"), "tpn withdraw")
    publisher.submit(lab.request("new", supersede_key=KEY, not_before_ms=later()))
    follower.wait_state("away", "UNKNOWN")


def test_who_waited_for_its_key_is_not_passed_over(lab):
    """Accepted behind one that came later, while the broker's window is full: it is read from the disk all the same."""
    sink = lab.sink()
    broker = lab.broker({"lab": smtp_profile(sink.port)}, {**LATE, "window": {"requests": 1}})
    pipeline = lab.pipeline(broker)
    for n in range(100):
        pipeline.send(lab.request(f"keyed-{n}", supersede_key=KEY))
    wait_until(lambda: pipeline.collect() < 100, "the first receipt", every_s=0.001)
    check(pipeline.open, "none of them waits for another")
    pipeline.send(lab.request("between"))
    pipeline.settle(20)
    publisher = lab.publisher(broker)
    lab.worker(broker)
    for name in ("between", "keyed-99"):
        wait_until(lambda name=name: publisher.state(name) == "SENT", name)
    check_equal(sink.count(), 2, "mails")


def test_withdrawn_without_a_successor(lab):
    broker = lab.broker({"lab": smtp_profile(lab.sink().port)}, LATE)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("alert", supersede_key=KEY, not_before_ms=later()))
    publisher.submit(lab.request("other", supersede_key="asset 1", not_before_ms=later()))
    result = lab.tpn(broker, "withdraw", KEY, "--reason", "calibrated")
    check_equal((result.returncode, result.stdout), (0, "1 withdrawn, 0 may be on their way\n"), "tpn withdraw")
    check_equal((publisher.state("alert"), publisher.state("other")), ("CANCELLED", "ACCEPTED"), "states")
    check_equal(reason_of(publisher, "alert"), "withdrawn by its producer: calibrated", "reason")
    link = lab.enter_context(contextlib.closing(tpn_wire.Publisher(lab.pb, broker.endpoints["submit"])))
    kind, error = link.answer([b"TPN1.WITHDRAW", b""])
    check_equal((kind, error.field, error.reason), ("TPN1.ERROR", "supersede_key", "required"), "without a key")


if __name__ == "__main__":
    run(globals())
