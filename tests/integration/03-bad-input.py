"""What strangers send: every wrong thing gets its named answer, and the broker lives on."""
import contextlib
import os
import socket
import subprocess

import tpn_wire
import zmq

from tpn_harness import Skip, check, check_equal, find_program, pickup_profile, run, smtp_profile, \
    wait_until
from tpn_wire import NoAnswer, outcome_name, phase_name, state_name

MIB = 1024 * 1024


def still_good(lab, publisher, follower, name):
    """A good request after the bad one goes all the way."""
    receipt = publisher.submit(lab.request(f"good-{name}"))
    check_equal(receipt.status, lab.pb.RECEIPT_STATUS_ACCEPTED, f"good request after {name}")
    follower.wait_state(f"good-{name}", "HANDED_OFF")


def good_lab(lab, **profiles):
    box = lab.folder("box")
    broker = lab.broker({"lab": pickup_profile(box), **profiles})
    lab.worker(broker, roots=[lab.dir])
    return broker, lab.publisher(broker), lab.follower(broker)


def test_wrong_frames_get_an_error(lab):
    broker, publisher, follower = good_lab(lab)
    request = lab.request("frames").SerializeToString()
    rows = (
        ("garbage verb", [b"\x00\xff\xfe\x01", b"x"]),
        ("empty verb", [b"", request]),
        ("unknown verb", [b"TPN1.NOSUCH", request]),
        ("another version", [b"TPN2.SUBMIT", request]),
        ("verb of the work socket", [b"TPN1.READY", b""]),
        ("verb of an answer", [b"TPN1.RECEIPT", b""]),
        ("long verb", [b"TPN1." + b"A" * 5000, request]),
        ("no frame 1", [b"TPN1.SUBMIT"]),
        ("a frame too many", [b"TPN1.SUBMIT", request, b"x"]),
        ("many frames", [b"TPN1.SUBMIT"] + [b"x"] * 500),
        ("cut protobuf", [b"TPN1.SUBMIT", request[:-3]]),
        ("no protobuf", [b"TPN1.SUBMIT", b"\xff" * 64]),
        ("query that is no protobuf", [b"TPN1.QUERY", b"\x0a\x7f"]),
    )
    for name, frames in rows:
        verb, answer = publisher.answer(frames)
        check_equal(verb, "TPN1.ERROR", name)
        check(answer.reason, f"{name}: no reason given")
        print(f"#   {name}: verb={answer.verb[:20]!r} field={answer.field!r} reason={answer.reason!r}")
    check_equal(publisher.state("frames"), "UNSPECIFIED", "nothing of it was kept")
    still_good(lab, publisher, follower, "frames")
    check(broker.alive(), "the broker ended")


def test_too_big_is_refused_by_name(lab):
    broker, publisher, follower = good_lab(lab)
    big = lab.request("big")
    big.message.attachments.add(file_name="a.bin", content=b"\0" * (40 * MIB))
    verb, answer = publisher.answer([b"TPN1.SUBMIT", big.SerializeToString()], 60000)
    check(verb == "TPN1.ERROR" or answer.status == lab.pb.RECEIPT_STATUS_REJECTED,
          f"40 MiB: {verb} {answer}")
    check("bytes" in answer.reason or "MiB" in answer.reason, f"reason names the limit: {answer.reason!r}")
    still_good(lab, publisher, follower, "big")
    check(broker.alive(), "the broker ended")


def bad_requests(lab):
    """Rows of name, change to a good request, field that the receipt must name."""
    def new(change):
        request = lab.request("bad")
        change(request)
        return request

    def from_of(request):
        return getattr(request.message, "from")

    inline = {"smtp_server": "127.0.0.1", "smtp_port": 25}
    return (
        ("no id", new(lambda r: r.ClearField("id")), "id"),
        ("unknown profile", new(lambda r: setattr(r, "profile", "nobody-knows")), "profile"),
        ("neither profile nor settings", new(lambda r: r.ClearField("profile")), "profile"),
        ("no recipient", new(lambda r: r.message.ClearField("to")), "message.to"),
        ("no from", new(lambda r: r.message.ClearField("from")), "message.from"),
        ("no message", new(lambda r: r.ClearField("message")), "message"),
        ("CRLF in subject", new(lambda r: setattr(r.message, "subject", "a\r\nBcc: eve@evil.test")),
         "message.subject"),
        ("LF in subject", new(lambda r: setattr(r.message, "subject", "a\nb")), "message.subject"),
        ("NUL in subject", new(lambda r: setattr(r.message, "subject", "a\0b")), "message.subject"),
        ("CRLF in address", new(lambda r: setattr(r.message.to[0], "address",
                                                  "a@example.test>\r\nRCPT TO:<eve@evil.test")),
         "message.to[0].address"),
        ("CR in address", new(lambda r: setattr(r.message.to[0], "address", "a\r@example.test")),
         "message.to[0].address"),
        ("parameter behind address", new(lambda r: setattr(r.message.to[0], "address",
                                                           "b@example.test> NOTIFY=NEVER")),
         "message.to[0].address"),
        ("two addresses in one", new(lambda r: setattr(r.message.to[0], "address", "a@b.test,c@d.test")),
         "message.to[0].address"),
        ("second recipient has no domain", new(lambda r: r.message.to.add(address="bob")),
         "message.to[1].address"),
        ("LF in display name", new(lambda r: setattr(r.message.to[0], "name", "Ann\nBcc: e@x.test")),
         "message.to[0].name"),
        ("CRLF in from", new(lambda r: setattr(from_of(r), "address", "a@x.test\r\nDATA")),
         "message.from.address"),
        ("LF in from name", new(lambda r: setattr(from_of(r), "name", "x\ny")), "message.from.name"),
        ("LF in reply-to", new(lambda r: r.message.reply_to.add(address="a@x.test\n")),
         "message.reply_to[0].address"),
        ("CRLF in header value", new(lambda r: r.message.headers.add(name="X-A", value="b\r\nEvil: yes")),
         "message.headers[0].value"),
        ("CRLF in header name", new(lambda r: r.message.headers.add(name="X-A\r\nEvil", value="b")),
         "message.headers[0].name"),
        ("space in header name", new(lambda r: r.message.headers.add(name="X A", value="b")),
         "message.headers[0].name"),
        ("reserved header", new(lambda r: r.message.headers.add(name="bcc", value="eve@evil.test")),
         "message.headers[0].name"),
        ("header of ours", new(lambda r: r.message.headers.add(name="X-TrackPro-Possible-Duplicate", value="no")),
         "message.headers[0].name"),
        ("header beside its field", new(unsubscribe_twice), "message.headers[0].name"),
        ("one click without https", new(lambda r: r.message.list_unsubscribe.MergeFrom(
            lab.pb.ListUnsubscribe(uris=["mailto:a@x.test"], one_click=True))),
         "message.list_unsubscribe.one_click"),
        ("inline without HTML", new(lambda r: r.message.attachments.add(content=b"x", is_inline=True,
                                                                         content_id="logo")),
         "message.attachments[0].is_inline"),
        ("calendar in Latin-1", new(lambda r: setattr(r.message, "calendar", b"SUMMARY:F\xe4llig")),
         "message.calendar"),
        ("CRLF in file name", new(lambda r: r.message.attachments.add(file_name="a\r\nb", content=b"x")),
         "message.attachments[0].file_name"),
        ("inline port 65536", inline_request(lab, {**inline, "smtp_port": 65536}), "settings.smtp_port"),
        ("inline without server", inline_request(lab, {"smtp_port": 25}), "settings.smtp_server"),
    )


def unsubscribe_twice(request):
    request.message.list_unsubscribe.uris.append("mailto:a@x.test")
    request.message.headers.add(name="list-unsubscribe", value="<mailto:b@x.test>")


def inline_request(lab, settings):
    request = lab.request("bad", settings=lab.pb.MailingSettings(**settings))
    request.ClearField("profile")
    return request


def test_wrong_requests_are_rejected_by_field(lab):
    broker, publisher, follower = good_lab(lab)
    wrong = []
    for number, (name, request, field) in enumerate(bad_requests(lab)):
        if request.id:
            request.id = f"bad-{number}"
        answer = publisher.submit(request)
        refused = getattr(answer, "status", None) in (None, lab.pb.RECEIPT_STATUS_REJECTED)
        print(f"#   {name}: field={answer.field!r} reason={answer.reason!r}")
        if not refused or answer.field != field or not answer.reason:
            wrong.append(f"{name}: wanted {field}, got {type(answer).__name__} {answer}")
        elif request.id and publisher.state(request.id) != "UNSPECIFIED":
            wrong.append(f"{name}: was kept although refused")
    check(not wrong, "\n".join(wrong))
    still_good(lab, publisher, follower, "requests")
    check(broker.alive(), "the broker ended")


def test_garbage_on_every_port(lab):
    broker, publisher, follower = good_lab(lab)
    floods = (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\xff" + b"\0" * 8 + b"\x01\x7f" + b"N" * 52,
              os.urandom(4096), b"")
    for endpoint in broker.endpoints.values():
        host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
        for flood in floods:
            with contextlib.closing(socket.create_connection((host, int(port)), 5)) as raw:
                with contextlib.suppress(OSError):
                    raw.sendall(flood)
    context = zmq.Context()
    for role in ("submit", "work", "admin"):
        stranger = context.socket(zmq.DEALER)
        stranger.connect(broker.endpoints[role])
        for frames in ([b"\0"], [b"TPN1.RESULT", b"\xff\xff"], [b"TPN1.CREDIT", b"\x08\x01"],
                       [b"TPN1.JOB", b"", b"x" * 100], [b"", b"", b""], [b"TPN1.READY", b"\x0a\x03abc"],
                       [b"TPN1.BYE", b""]):
            stranger.send_multipart(frames)
        stranger.close(linger=2000)
    subscriber = context.socket(zmq.XSUB)
    subscriber.connect(broker.endpoints["status"])
    for frame in (b"", b"\x07junk", b"\x01" + b"t" * 100000):
        subscriber.send(frame)
    subscriber.close(linger=2000)
    context.term()
    still_good(lab, publisher, follower, "garbage")
    check(broker.alive(), "the broker ended")


def test_operators_are_told_the_field_and_the_rule(lab):
    """What an operator may send has limits as well; each is told by its path."""
    broker, publisher, follower = good_lab(lab)
    pb = lab.pb
    rows = (
        (b"QUEUE_LS", pb.QueueList(filter=pb.QueueFilter(label="a=b\n")), "filter.label"),
        (b"QUEUE_LS", pb.QueueList(filter=pb.QueueFilter(since_ms=-1)), "filter.since_ms"),
        (b"QUEUE_ACT", pb.QueueAct(operation=8, ids=["x"], operator="ann"), "edit"),
        (b"QUEUE_ACT", pb.QueueAct(operation=1, ids=["x"], operator="ann", edit=pb.RequestEdit(profile="p")), "edit"),
        (b"QUEUE_ACT", pb.QueueAct(operation=8, filter=pb.QueueFilter(), operator="ann", edit=pb.RequestEdit()), "filter"),
        (b"QUEUE_ACT", pb.QueueAct(operation=8, ids=["x"], operator="ann",
                                   edit=pb.RequestEdit(recipients=[pb.AddressChange()])), "edit.recipients[0].address"),
        (b"TOP", pb.Top(by=9), "by"), (b"DRAIN_ACT", pb.DrainAct(), "operator"),
        (b"REPLAY", pb.Replay(limit=1001), "limit"), (b"DAYS", pb.DaysAsk(log=7), "log"),
        (b"EVIDENCE", pb.EvidenceAsk(label="x\0".replace("\0", "\t")), "label"),
        (b"BACKUP", pb.BackupAct(operator="ann"), "step"), (b"BACKUP", pb.BackupAct(step=1), "operator"),
    )
    with contextlib.closing(tpn_wire.Publisher(pb, broker.endpoints["admin"])) as desk:
        for verb, body, field in rows:
            kind, error = desk.answer([b"TPN1." + verb, body.SerializeToString()])
            check_equal((kind, error.field), ("TPN1.ERROR", field), f"{verb} {body}: {error}")
    kind, error = publisher.answer([b"TPN1.EVIDENCE", b""])
    check_equal((kind, error.reason), ("TPN1.ERROR", "this verb is not for this socket"), "a producer asks for evidence")
    still_good(lab, publisher, follower, "operators")


def test_worker_whose_results_make_no_sense(lab):
    """Results that name a recipient twice, none there is, or too many: refused, and the broker lives on."""
    broker, publisher, _ = good_lab(lab, elsewhere=smtp_profile(9))
    pb = lab.pb
    context = zmq.Context()
    liar = context.socket(zmq.DEALER)
    liar.connect(broker.endpoints["work"])
    # The worker with the most credit gets the next job.
    liar.send_multipart([b"TPN1.READY", pb.Ready(worker="liar", instance="liar-1", credit=1000,
                                                 capabilities=["smtp"]).SerializeToString()])
    wait_until(lambda: "name=liar" in broker.text(), "the liar among the workers")
    publisher.submit(lab.request("lied", to=["a@e.test", "b@e.test"], profile="elsewhere"))
    job = None
    while job is None:
        check(liar.poll(20000), "the liar never got a job")
        frames = liar.recv_multipart()
        if frames[0] == b"TPN1.JOB":
            job = pb.Job.FromString(frames[1])
    one = pb.RecipientResult(address="a@e.test", outcome=pb.OUTCOME_DELIVERED)
    for indices in ([0, 0], [1, 0], [7], [0, 1] * 1000, [0]):
        results = [one] * (len(indices) if len(indices) > 1 or indices == [7] else 3)
        lie = pb.JobResult(lease=job.lease, recipients=indices, results=results)
        liar.send_multipart([b"TPN1.RESULT", pb.Result(results=[lie]).SerializeToString()])
    wait_until(lambda: broker.text().count('refused="') >= 5, "five refusals in the broker's log")
    check(broker.alive(), "the broker ended")
    liar.close(linger=0)
    context.term()


def test_pickup_folder_that_cannot_be_written(lab):
    a_file = lab.dir / "a-file"
    a_file.write_text("no folder\n")
    broker, publisher, follower = good_lab(
        lab, missing=pickup_profile(lab.dir / "missing"), file=pickup_profile(a_file),
        outside=pickup_profile("/var/empty-outside-of-roots"))
    rows = (("missing", ("DEFERRED", "FAILED")), ("file", ("DEFERRED", "FAILED")),
            ("outside", ("FAILED", "ACCEPTED")))
    for profile, states in rows:
        publisher.submit(lab.request(f"to-{profile}", profile=profile))
    for profile, states in rows[:2]:
        event = follower.wait_state(f"to-{profile}", *states)
        result = event.recipients[0]
        check_equal(phase_name(lab.pb, result.phase), "PICKUP", f"{profile}: phase")
        check(outcome_name(lab.pb, result.outcome) in ("DEFERRED", "REFUSED"), f"{profile}: {result}")
        check(profile in result.text or "a-file" in result.text, f"{profile}: text {result.text!r}")
    still_good(lab, publisher, follower, "folders")
    check_equal(publisher.state("to-outside") in ("HANDED_OFF", "SENT"), False, "outside of the roots")
    check(not os.path.exists("/var/empty-outside-of-roots"), "a folder outside of the roots was made")


def test_read_only_pickup_folder(lab):
    if os.geteuid() != 0:
        raise Skip("mounting a read-only folder needs root")
    box = lab.folder("box")
    mount = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o ro none "$0" && exec "$@"', str(box)]
    if subprocess.run([*mount, "true"], check=False, capture_output=True).returncode != 0:
        raise Skip("this container may not mount")
    broker = lab.broker({"lab": pickup_profile(box)})
    first = lab.worker(broker, wrap=mount, roots=[box])
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("read-only"))
    event = follower.wait_state("read-only", "DEFERRED", "FAILED")
    check("ead-only" in event.recipients[0].text, f"text: {event.recipients[0].text!r}")
    check_equal(state_name(lab.pb, event.state), "DEFERRED", "state: the folder may be mended")
    check_equal(first.stop(), 0, "worker")


def test_port_out_of_range_in_profiles(lab):
    for port, word in ((65536, "smtp_port"), (0, "smtp_port"), (-1, "smtp_port")):
        folder = lab.folder(f"port{port}")
        file = folder / "profiles.yaml"
        file.write_text(f"profiles:\n  lab:\n    smtp_server: 127.0.0.1\n    smtp_port: {port}\n")
        result = subprocess.run([find_program("tpn-broker"), "--check-config", "--profiles", file,
                                 "--data", folder], capture_output=True, text=True, check=False, timeout=20)
        output = result.stdout + result.stderr
        check(result.returncode > 0, f"port {port} was taken: {output}")
        check(f"{file}:4:" in output and word in output, f"port {port}: {output!r}")


def test_wrong_reload_keeps_the_old_profiles(lab):
    broker, publisher, follower = good_lab(lab)
    broker.write_profiles({"lab": smtp_profile(65536)})
    broker.child.send_signal(1)
    wait_until(lambda: "smtp_port" in broker.text(), "the broker to name the error in its log")
    still_good(lab, publisher, follower, "reload")


def test_unanswered_wrong_client_does_not_hang_others(lab):
    broker, publisher, follower = good_lab(lab)
    context = zmq.Context()
    silent = [context.socket(zmq.DEALER) for _ in range(50)]
    for peer in silent:
        peer.setsockopt(zmq.LINGER, 0)
        peer.connect(broker.endpoints["submit"])
        for _ in range(20):
            peer.send_multipart([b"TPN1.SUBMIT", b"\xff"])
    still_good(lab, publisher, follower, "silent")
    for peer in silent:
        peer.close()
    context.term()
    with contextlib.suppress(NoAnswer):
        publisher.exchange([b"x"], 1000)
    check(broker.alive(), "the broker ended")


run(globals())
