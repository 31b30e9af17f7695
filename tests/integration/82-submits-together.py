"""Several requests in one message: each is judged, answered and kept as if it had come alone; a message that is broken changes nothing;
a broker that is killed in the middle loses nothing that it acknowledged and doubles nothing."""
import contextlib
import time

import zmq

import tpn_wire
from tpn_harness import check, check_equal, pickup_profile, run, smtp_profile, wait_until
from tpn_keys import Ring
from tpn_wire import SLOW, Pipeline, state_name, submits

NOWHERE = smtp_profile(9)  # no worker runs
LIMIT = 64 * 1024


@contextlib.contextmanager
def dealer(broker, curve=None):
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    if curve:
        curve(socket)
    socket.connect(broker.endpoints["submit"])
    yield socket
    socket.close()
    context.term()


def hear(pb, socket):
    """One answer: (verb, message)."""
    check(socket.poll(20000 * SLOW), "no answer")
    verb, body = socket.recv_multipart()
    name = verb.decode().removeprefix("TPN1.")
    return name, {"RECEIPT": pb.Receipt, "RECEIPTS": pb.Receipts, "ERROR": pb.Error, "STATE": pb.QueryReply}[name].FromString(body)


def hear_receipts(pb, socket, count):
    """So many receipts in the order they came, the errors among them, and the verbs."""
    receipts, errors, verbs = [], [], []
    while len(receipts) + len(errors) < count:
        verb, body = hear(pb, socket)
        verbs.append(verb)
        if verb == "ERROR":
            errors.append(body)
        else:
            receipts += [body] if verb == "RECEIPT" else body.receipts
    return receipts, errors, verbs


def test_each_request_is_judged_by_itself(lab):
    """Good, bad, known, in conflict, twice, and no request at all, in one message."""
    pb, box = lab.pb, lab.folder("box")
    broker = lab.broker({"lab": pickup_profile(box)})
    lab.worker(broker, roots=[lab.dir])
    follower = lab.follower(broker)
    check_equal(lab.publisher(broker).submit(lab.request("known")).status, pb.RECEIPT_STATUS_ACCEPTED, "known")
    check_equal(lab.publisher(broker).submit(lab.request("taken")).status, pb.RECEIPT_STATUS_ACCEPTED, "taken")
    bad, taken = lab.request("bad"), lab.request("taken")
    bad.message.subject = "a\r\nBcc: eve@evil.test"
    taken.message.subject = "another"
    parts = [lab.request("one").SerializeToString(), bad.SerializeToString(), lab.request("known").SerializeToString(),
             b"\x0a\x7f\x01", lab.request("two").SerializeToString(), taken.SerializeToString(),
             lab.request("stray", profile="nobody-knows").SerializeToString(), lab.request("one").SerializeToString(),
             lab.request("three").SerializeToString()]
    with dealer(broker) as socket:
        socket.send_multipart(submits(pb, parts))
        receipts, errors, verbs = hear_receipts(pb, socket, len(parts))
    said = sorted((one.id, pb.ReceiptStatus.Name(one.status).removeprefix("RECEIPT_STATUS_"), one.field) for one in receipts)
    check_equal(said, [("bad", "REJECTED", "message.subject"), ("known", "DUPLICATE", ""), ("one", "ACCEPTED", ""),
                       ("one", "DUPLICATE", ""), ("stray", "REJECTED", "profile"), ("taken", "REJECTED", "id"),
                       ("three", "ACCEPTED", ""), ("two", "ACCEPTED", "")], "receipts")
    check_equal([(one.verb, one.field) for one in errors], [("TPN1.SUBMITS", "request_bytes[3]")], "what is no request at all")
    check("RECEIPTS" in verbs, f"answers that leave together: {verbs}")
    good = ["known", "taken", "one", "two", "three"]
    for name in good:
        follower.wait_state(name, "HANDED_OFF")
    check_equal([state_name(pb, one.state) for one in lab.publisher(broker).query(["bad", "stray"])], ["UNSPECIFIED"] * 2, "refused")
    wait_until(lambda: len(list(box.glob("*.eml"))) >= len(good), "the mails")
    check_equal(len(list(box.glob("*.eml"))), len(good), "one mail each")
    check_equal(follower.gaps(), [], "gaps in the events")


def test_frames_that_cannot_be_used(lab):
    """Refused as a whole, by field and rule; nothing of it is kept."""
    pb = lab.pb
    broker = lab.broker({"lab": NOWHERE})
    one, two = (lab.request(name).SerializeToString() for name in ("one", "two"))
    verb, _, both = submits(pb, [one, two])

    def lengths(*numbers):
        return pb.Submits(request_bytes=numbers).SerializeToString()

    small = [lab.request(f"s{n}").SerializeToString() for n in range(257)]
    large = lab.request("large")
    large.message.text = "x" * LIMIT
    rows = (
        ("a byte too few", [verb, lengths(len(one), len(two) + 1), both], "request_bytes[1]", f"has {len(two)} bytes"),
        ("a byte left over", [verb, lengths(len(one), len(two) - 1), both], "request_bytes[1]", f"has {len(two)} bytes"),
        ("nothing left for the second", [verb, lengths(len(both), 1), both], "request_bytes[0]", "and those behind it"),
        ("an empty one", [verb, lengths(len(both), 0), both], "request_bytes[0]", "and those behind it"),
        ("nearly 2^32", [verb, lengths(len(one), 2 ** 32 - 1), both], "request_bytes[1]", "is 4294967295"),
        ("none", [verb, b"", both], "request_bytes", "required"),
        ("too many", submits(pb, small), "request_bytes", "256"),
        ("too large", submits(pb, [one, large.SerializeToString()]), "", "at most 65536 are allowed"),
        ("no frame 2", [verb, lengths(len(one))], "", "frame 2"),
        ("a frame too many", [verb, lengths(len(one)), one, b"x"], "", "too many frames"),
        ("no protobuf", [verb, b"\xff\xff", one], "", ""),
    )
    with dealer(broker) as socket:
        for name, frames, field, rule in rows:
            socket.send_multipart(frames)
            answer, error = hear(pb, socket)
            check_equal((answer, error.verb, error.field), ("ERROR", "TPN1.SUBMITS", field), name)
            check(rule in error.reason and error.reason, f"{name}: {error.reason!r} has no {rule!r}")
        socket.send_multipart([b"TPN1.QUERY", pb.Query(ids=["one", "two", "s0", "large"]).SerializeToString()])
        check_equal({state_name(pb, row.state) for row in hear(pb, socket)[1].requests}, {"UNSPECIFIED"}, "nothing of it was kept")
        socket.send_multipart(submits(pb, small[:256]))
        receipts, errors, _ = hear_receipts(pb, socket, 256)
        check_equal(({one.status for one in receipts}, errors), ({pb.RECEIPT_STATUS_ACCEPTED}, []), "as many as there may be")
    answer, error = lab.publisher(broker).answer(submits(pb, [one, two]))
    check_equal(answer, "TPN1.ERROR", "from a REQ socket")
    check("DEALER" in error.reason, f"which socket may: {error.reason!r}")
    check_equal(lab.publisher(broker).state("one"), "UNSPECIFIED", "from a REQ socket: kept")


def test_a_broker_says_that_it_takes_them(lab):
    """With the receipt of what came alone, to a DEALER; receipts of what came together need not say it again."""
    pb = lab.pb
    broker = lab.broker({"lab": NOWHERE})
    check_equal(lab.publisher(broker).submit(lab.request("req")).takes_submits, False, "a REQ socket cannot")
    bad = lab.request("bad")
    bad.ClearField("message")
    with dealer(broker) as socket:
        for request, status in ((lab.request("alone"), pb.RECEIPT_STATUS_ACCEPTED), (bad, pb.RECEIPT_STATUS_REJECTED)):
            socket.send_multipart([b"TPN1.SUBMIT", request.SerializeToString()])
            verb, receipt = hear(pb, socket)
            check_equal((verb, receipt.status, receipt.takes_submits), ("RECEIPT", status, True), request.id)


def test_receipts_go_to_who_asked(lab):
    """More producers at once than the broker has piles for, some of which send together and some alone."""
    pb, names = lab.pb, {}
    broker = lab.broker({"lab": NOWHERE})
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(dealer(broker)) for _ in range(40)]
        for number, socket in enumerate(sockets):
            names[number] = [f"p{number}-{n}" for n in range(8)]
            packed = [lab.request(name).SerializeToString() for name in names[number]]
            if number % 4 == 0:
                for one in packed:
                    socket.send_multipart([b"TPN1.SUBMIT", one])
            else:
                socket.send_multipart(submits(pb, packed))
        for number, socket in enumerate(sockets):
            receipts, errors, verbs = hear_receipts(pb, socket, 8)
            check_equal((sorted(one.id for one in receipts), errors), (names[number], []), f"producer {number}")
            check_equal({one.status for one in receipts}, {pb.RECEIPT_STATUS_ACCEPTED}, f"producer {number}")
            check(number % 4 != 0 or set(verbs) == {"RECEIPT"}, f"one that sends alone is answered alone: {verbs}")


def test_a_broker_is_killed_in_the_middle(lab):
    """Three times. What it acknowledged is there afterwards; what it did not is sent again, and nothing is there twice."""
    pb = lab.pb
    broker = lab.broker({"lab": NOWHERE})
    link = lab.enter_context(contextlib.closing(Pipeline(pb, broker.endpoints["submit"])))
    sent = 0
    for kill in range(3):
        for bundle in range(30):
            requests = [lab.request(f"k{kill}-{bundle}-{n}") for n in range(20)]
            link.send_together(requests)
            sent += len(requests)
        deadline = time.monotonic() + 20 * SLOW
        while len(link.receipts) < sent - 500 and time.monotonic() < deadline:
            link.collect(50)
        broker.kill()
        link.collect(0)
        acknowledged = sorted(link.receipts)
        check(acknowledged, "killed before anything was acknowledged")
        broker.start()
        with contextlib.closing(tpn_wire.Publisher(pb, broker.endpoints["submit"])) as asker:
            for at in range(0, len(acknowledged), 500):
                lost = [row.id for row in asker.query(acknowledged[at:at + 500]) if state_name(pb, row.state) == "UNSPECIFIED"]
                check_equal(lost, [], "acknowledged and lost")
        open_now = [pb.NotificationRequest.FromString(packed) for packed in link.open.values()]
        for at in range(0, len(open_now), 50):
            link.send_together(open_now[at:at + 50])
        link.settle(60, resend_after_s=10)
    kinds = {pb.ReceiptStatus.Name(one.status).removeprefix("RECEIPT_STATUS_") for one in link.receipts.values()}
    check(kinds <= {"ACCEPTED", "DUPLICATE"}, f"receipts: {kinds}")
    check("RECEIPTS" in link.verbs, "answers that leave together")
    with contextlib.closing(tpn_wire.Publisher(pb, broker.endpoints["admin"])) as asker:
        stats = asker.answer([b"TPN1.STATS", pb.StatsAsk().SerializeToString()])[1]
    check_equal({state_name(pb, one.state): one.count for one in stats.states if one.count > 0}, {"ACCEPTED": sent},
                "requests that the broker holds")


def test_rights_are_those_of_each_request(lab):
    """A producer's policy holds for each; who may not submit may not do it together either."""
    pb, ring = lab.pb, Ring(lab)
    ring.new("maker", "producer", profiles=["lab"])
    ring.new("boss", "operator")
    broker = lab.broker({"lab": NOWHERE, "other": NOWHERE}, ring.config())
    requests = [lab.request("mine"), lab.request("not-mine", profile="other"), lab.request("mine-too")]
    frames = submits(pb, [request.SerializeToString() for request in requests])
    with dealer(broker, ring.curve("maker")) as socket:
        socket.send_multipart(frames)
        receipts, errors, _ = hear_receipts(pb, socket, 3)
        check_equal((sorted((one.id, one.status) for one in receipts), errors),
                    ([("mine", pb.RECEIPT_STATUS_ACCEPTED), ("mine-too", pb.RECEIPT_STATUS_ACCEPTED),
                      ("not-mine", pb.RECEIPT_STATUS_REJECTED)], []), "a producer's receipts")
    with dealer(broker, ring.curve("boss")) as socket:
        socket.send_multipart(frames)
        verb, error = hear(pb, socket)
        check_equal((verb, error.reason), ("ERROR", "only the key of a producer may submit"), "an operator")


run(globals())
