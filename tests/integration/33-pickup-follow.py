"""Pickup folders with a real consumer: what it delivers, and what is told of each file after the hand-over."""
import os
import re

import zmq

from tpn_harness import check, check_equal, parse_mail, pickup_profile, run, wait_until

import pickup_consumer  # of tests/peers, which the harness puts on the path

QUICK = {"pickup": {"look": "100ms", "stale": "1500ms"}}
FATES = {0: "", 1: "TAKEN", 2: "BAD", 3: "STALE"}


def fates(events):
    """(part, fate) of every event that tells one, in order."""
    return [(event.part, FATES[event.pickup_fate]) for event in events if event.pickup_fate]


def wait_fates(follower, request_id, wanted, timeout_s=20):
    follower.wait_for(lambda f: len(fates(f.of(request_id))) >= len(wanted), f"{request_id}: {wanted}", timeout_s)
    check_equal(sorted(fates(follower.of(request_id))), sorted(wanted), f"fates of {request_id}")


def traces(box):
    return list(box.glob(".*.follow"))


def start(lab, dialect, **more):
    box = lab.folder("box")
    broker = lab.broker({"lab": pickup_profile(box, pickup_dialect=dialect, **more)})
    worker = lab.worker(broker, roots=[lab.dir], config=QUICK)
    return box, broker, worker


def request(lab, request_id):
    one = lab.request(request_id, to=["ann@example.test", "bo@example.test"])
    one.message.cc.add(address="cy@example.test", name="Cy, the third")
    one.message.bcc.add(address="di@example.test")
    return one


def check_dialect(lab, dialect, bcc_reaches):
    box, broker, _ = start(lab, dialect)
    kept = lab.folder("kept")
    sink = lab.sink("--keep", str(kept))
    follower = lab.follower(broker)
    pickup_consumer.consumer(lab, box, sink.port)
    lab.publisher(broker).submit(request(lab, "one"))
    follower.wait_state("one", "HANDED_OFF")
    wait_fates(follower, "one", [(0, "TAKEN")])
    [mail] = sink.mails()
    wanted = ["ann@example.test", "bo@example.test", "cy@example.test"] + (["di@example.test"] if bcc_reaches else [])
    check_equal(mail["rcpt"], wanted, "envelope at the server")
    content = next(kept.iterdir()).read_bytes()
    for word in (b"di@example.test", b"X-Receiver", b"X-Sender"):
        check(word not in content, f"{word} travelled on")
    parse_mail(content)
    wait_until(lambda: not traces(box), "the trace to be removed")
    check_equal(list(box.iterdir()), [], "left in the folder")
    check_equal(follower.gaps(), [], "gaps in the sequence of events")


def test_iis_reaches_everybody_by_its_first_lines(lab):
    check_dialect(lab, "iis", True)


def test_exchange_reaches_everybody_by_to_cc_and_bcc(lab):
    check_dialect(lab, "exchange", True)


def test_plain_has_no_bcc(lab):
    check_dialect(lab, "plain", False)


def test_each_part_of_a_split_request_has_its_fate(lab):
    box, broker, _ = start(lab, "exchange")
    sink = lab.sink()
    follower = lab.follower(broker)
    pickup_consumer.consumer(lab, box, sink.port)
    one = request(lab, "split")
    one.split = lab.pb.SPLIT_ONE_EACH
    lab.publisher(broker).submit(one)
    wait_fates(follower, "split", [(part, "TAKEN") for part in range(4)])
    check_equal(sorted(mail["rcpt"] for mail in sink.mails()), [[f"{name}@example.test"] for name in ("ann", "bo", "cy", "di")], "envelopes")


def test_a_history_is_read_for_many_parts_at_once(lab):
    """150 files of one request go at once: each is told, and the history is not read for each."""
    os.environ["TPN_LOG_LEVEL"] = "debug"
    box, broker, worker = start(lab, "exchange", max_messages_per_minute=100000)
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("many", to=[f"p{i}@example.test" for i in range(150)], split=lab.pb.SPLIT_ONE_EACH))
    follower.wait_state("many", "HANDED_OFF")
    worker.stop()
    for path in box.glob("*.eml"):
        path.unlink()
    lab.worker(broker, "w2", roots=[lab.dir], config=QUICK)
    wait_fates(follower, "many", [(part, "TAKEN") for part in range(150)], 60)
    readings = [int(count) for count in re.findall(r"fates request=many fates=(\d+) result=read", broker.text())]
    check(readings and sum(readings) >= 150, f"what was looked for: {readings}")
    check(len(readings) <= 15, f"{len(readings)} readings of the history: {readings}")


def test_a_file_put_aside_is_told_and_explained(lab):
    box, broker, _ = start(lab, "plain")
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("bad"))
    follower.wait_state("bad", "HANDED_OFF")
    [file] = box.glob("*.eml")
    file.rename(file.with_name(f"{file.stem}20261125134500.bad"))  # as Exchange does when there is one already
    wait_fates(follower, "bad", [(0, "BAD")])
    event = follower.of("bad")[-1]
    check_equal(lab.pb.State.Name(event.state), "STATE_HANDED_OFF", "state: it does not change")
    check("20261125134500.bad: it was not sent" in event.reason, event.reason)
    told = lab.tpn(broker, "explain", "bad").stdout
    check("it was not sent" in told, f"tpn explain says: {told}")
    check("fate=bad" in broker.text(), "a line in the broker's log")


def test_a_file_that_nobody_takes_is_stale_and_may_be_taken_later(lab):
    box, broker, _ = start(lab, "iis")
    sink = lab.sink()
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("stale"))
    wait_fates(follower, "stale", [(0, "STALE")])
    check("does its consumer run?" in follower.of("stale")[-1].reason, follower.of("stale")[-1].reason)
    pickup_consumer.consumer(lab, box, sink.port)
    wait_fates(follower, "stale", [(0, "STALE"), (0, "TAKEN")])


def test_what_happened_while_the_worker_was_away_is_told(lab):
    box, broker, worker = start(lab, "plain")
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    for name in ("gone", "aside", "lies"):
        publisher.submit(lab.request(name))
        follower.wait_state(name, "HANDED_OFF")
    worker.kill()
    by_subject = {str(parse_mail(path.read_bytes())["Subject"]): path for path in box.glob("*.eml")}
    by_subject["Due: gone"].unlink()
    by_subject["Due: aside"].rename(by_subject["Due: aside"].with_suffix(".bad"))
    check(traces(box), "no trace")
    # Nothing says which folders were used: they are found below the roots.
    lab.worker(broker, "w2", roots=[lab.dir], config=QUICK)
    wait_fates(follower, "gone", [(0, "TAKEN")], 60)
    wait_fates(follower, "aside", [(0, "BAD")], 60)
    wait_fates(follower, "lies", [(0, "STALE")], 60)
    by_subject["Due: lies"].unlink()
    wait_until(lambda: not traces(box), "the traces to be removed")


def test_a_broker_that_was_away_hears_it_once(lab):
    box, broker, _ = start(lab, "plain")
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("late"))
    follower.wait_state("late", "HANDED_OFF")
    broker.kill()
    for path in box.glob("*.eml"):
        path.unlink()
    broker.start()
    wait_until(lambda: not traces(box), "the fate to be recorded", 60)
    history = publisher.query(["late"], with_history=True)[0].history
    check_equal(fates(history), [(0, "TAKEN")], "fates in the history")


def test_two_workers_of_one_folder_tell_once(lab):
    box, broker, _ = start(lab, "plain")
    lab.worker(broker, "w2", roots=[lab.dir], config=QUICK)
    sink = lab.sink()
    follower = lab.follower(broker)
    pipeline = lab.pipeline(broker)
    pickup_consumer.consumer(lab, box, sink.port)
    for n in range(40):
        pipeline.send(lab.request(f"n{n}"))
    pipeline.settle(20)
    for n in range(40):
        wait_fates(follower, f"n{n}", [(0, "TAKEN")])
    wait_until(lambda: not traces(box), "the traces to be removed")
    check_equal(sink.count(), 40, "mails at the server")
    check_equal(len([event for _, event in follower.events if event.pickup_fate]), 40, "fates told")


def test_a_fate_told_again_and_again_is_recorded_once(lab):
    box, broker, _ = start(lab, "plain")
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("twice"))
    event = follower.wait_state("twice", "HANDED_OFF")
    pb = lab.pb
    context = zmq.Context()
    liar = context.socket(zmq.DEALER)
    liar.setsockopt(zmq.LINGER, 0)
    liar.connect(broker.endpoints["work"])
    liar.send_multipart([b"TPN1.READY", pb.Ready(worker="other", instance="other-1", capabilities=["smtp"]).SerializeToString()])
    told = pb.JobResult(lease=event.lease, part=1 + (2 << 24), producer=event.producer, request_id="twice", server="/box", queue_id="x.bad",
                        pickup_fate=pb.PICKUP_FATE_BAD)
    forgotten = pb.JobResult(lease=7, part=3 << 24, producer=event.producer, request_id="never-was", pickup_fate=pb.PICKUP_FATE_STALE)
    seen = set()

    def acknowledged():
        while liar.poll(0):
            verb, body = liar.recv_multipart()
            if verb == b"TPN1.RESULT_OK":
                seen.update((part.lease, part.part) for part in pb.ResultOk.FromString(body).parts)
        return {(event.lease, told.part), (7, forgotten.part)} <= seen
    for _ in range(3):  # at once, and again when it is on disk
        seen.clear()
        for result in (told, told, forgotten):
            liar.send_multipart([b"TPN1.RESULT", pb.Result(results=[result]).SerializeToString()])
        wait_until(acknowledged, "both to be acknowledged")
    publisher.submit(lab.request("after"))
    follower.wait_state("after", "HANDED_OFF")
    check_equal(fates(follower.of("twice")), [(1, "BAD")], "fates on the status topic")
    check_equal(fates(publisher.query(["twice"], with_history=True)[0].history), [(1, "BAD")], "fates in the history")
    liar.close()
    context.term()


run(globals())
