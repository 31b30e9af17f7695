"""A client in another language: two frames and the .proto files. Publish, follow, ask."""
import time

from tpn_harness import (check, check_equal, parse_mail, pickup_profile, run, smtp_profile, wait_until)
from tpn_wire import outcome_name, state_name


def pickup_lab(lab):
    """A broker and a worker that deliver into a folder."""
    box = lab.folder("box")
    broker = lab.broker({"lab": pickup_profile(box)})
    lab.worker(broker, roots=[box])
    return broker, box


def test_publish_follow_and_ask(lab):
    broker, box = pickup_lab(lab)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    receipt = publisher.submit(lab.request("first-1", to=["ann@example.test", "bob@example.test"]))
    check_equal(receipt.status, lab.pb.RECEIPT_STATUS_ACCEPTED, "receipt")
    check_equal(receipt.id, "first-1", "id of the receipt")
    follower.wait_state("first-1", "HANDED_OFF")
    check_equal(follower.states("first-1"), ["ACCEPTED", "LEASED", "PERMITTED", "HANDED_OFF"], "states")
    check_equal(follower.gaps(), [], "gaps in the sequence")
    for topic, event in follower.events:
        state = state_name(lab.pb, event.state)
        check_equal(topic, f"tpn1.{event.producer}.{state}.{event.request_id}", "topic")
    answer = publisher.query(["first-1"], with_history=True)[0]
    check_equal(state_name(lab.pb, answer.state), "HANDED_OFF", "state by query")
    check_equal([(r.address, outcome_name(lab.pb, r.outcome)) for r in answer.recipients],
                [("ann@example.test", "DELIVERED"), ("bob@example.test", "DELIVERED")], "recipients")
    check_equal([state_name(lab.pb, e.state) for e in answer.history], follower.states("first-1"),
                "history")
    check_equal(len(list(box.glob("*.eml"))), 1, "files")


def test_same_again_is_a_duplicate(lab):
    broker, box = pickup_lab(lab)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("again"))
    follower.wait_state("again", "HANDED_OFF")
    second = publisher.submit(lab.request("again"))
    check_equal(second.status, lab.pb.RECEIPT_STATUS_DUPLICATE, "the same again")
    check_equal(state_name(lab.pb, second.state), "HANDED_OFF", "state in the receipt")
    other = lab.request("again")
    other.message.subject = "something else"
    third = publisher.submit(other)
    check_equal(third.status, lab.pb.RECEIPT_STATUS_REJECTED, "same id, other content")
    check_equal(third.field, "id", "field named")
    check_equal(len(list(box.glob("*.eml"))), 1, "files")


def test_unknown_id_is_unspecified(lab):
    broker, _ = pickup_lab(lab)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("known"))
    answers = publisher.query(["never-seen", "known"])
    check_equal([a.id for a in answers], ["never-seen", "known"], "order of the answers")
    check_equal(state_name(lab.pb, answers[0].state), "UNSPECIFIED", "state of an unknown id")
    check(answers[1].state != 0, "the known one has a state")


def test_five_hundred_under_way_on_one_dealer(lab):
    broker, box = pickup_lab(lab)
    follower = lab.follower(broker)
    pipeline = lab.pipeline(broker)
    ids = [f"many-{n}" for n in range(500)]
    for request_id in ids:
        pipeline.send(lab.request(request_id))
    pipeline.settle(30)
    check_equal({r.status for r in pipeline.receipts.values()}, {lab.pb.RECEIPT_STATUS_ACCEPTED},
                "receipts")

    def done(f):
        return sum(state_name(lab.pb, e.state) == "HANDED_OFF" for _, e in f.events) >= 500
    follower.wait_for(done, "500 hand-offs", 60)
    check_equal(follower.gaps(), [], "gaps in the sequence")
    check_equal(len(list(box.glob("*.eml"))), 500, "files")


def test_one_mail_each_or_one_for_all(lab):
    sink = lab.sink("--keep", lab.folder("kept"))
    broker = lab.broker({"lab": smtp_profile(sink.port)})
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    people = ["ann@example.test", "bob@example.test", "cy@example.test"]
    each = lab.request("each", to=people, split=lab.pb.SPLIT_ONE_EACH)
    publisher.submit(each)
    follower.wait_state("each", "SENT")
    mails = sink.mails()
    check_equal(sorted(m["rcpt"][0] for m in mails if len(m["rcpt"]) == 1), people, "one each")
    check_equal(len({m["id"] for m in mails}), 3, "three Message-IDs")
    whole = lab.request("whole", to=people[:1])
    whole.message.cc.add(address=people[1])
    whole.message.bcc.add(address=people[2])
    publisher.submit(whole)
    follower.wait_state("whole", "SENT")
    check_equal(sorted(sink.mails()[-1]["rcpt"]), people, "envelope of the one for all")
    mail = parse_mail((lab.dir / "kept" / "4.eml").read_bytes())
    check_equal((mail["To"], mail["Cc"], mail["Bcc"]), (people[0], people[1], None), "To, Cc, Bcc")


def test_not_before_is_kept(lab):
    broker, _ = pickup_lab(lab)
    follower = lab.follower(broker)
    start_ms = int(time.time() * 1000) + 1500
    lab.publisher(broker).submit(lab.request("later", not_before_ms=start_ms))
    event = follower.wait_state("later", "HANDED_OFF")
    leased = [e for e in follower.of("later") if e.state == lab.pb.STATE_LEASED]
    check(leased[0].at_ms >= start_ms, f"leased {start_ms - leased[0].at_ms} ms too early")
    check(event.at_ms >= start_ms, "handed off too early")


def test_too_late_is_expired(lab):
    broker = lab.broker({"lab": pickup_profile(lab.folder("box"))})
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    end_ms = int(time.time() * 1000) + 1500
    publisher.submit(lab.request("late", expire_at_ms=end_ms))
    event = follower.wait_state("late", "EXPIRED")
    check(event.at_ms >= end_ms, "expired too early")
    wait_until(lambda: publisher.state("late") == "EXPIRED", "the query to say so")


run(globals())
