"""Writes the seeds that no editor can: packed protobuf and frames, from the .proto files. Run by hand after a change of
them; the results are in version control.

    make_seeds.py    (needs protoc and python3-protobuf)
"""
import pathlib
import struct
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import tpn_wire  # noqa: E402

# In the order of enum wire_verb (transport/wire.h): the first byte of an input of fuzz_check picks by it.
VERBS = (("SUBMIT", "NotificationRequest"), ("RECEIPT", "Receipt"), ("QUERY", "Query"), ("STATE", "QueryReply"),
         ("ERROR", "Error"), ("READY", "Ready"), ("CREDIT", "Credit"), ("PERMIT?", "PermitAsk"), ("RESULT", "Result"),
         ("EXTEND", "Extend"), ("BYE", "Bye"), ("BEAT", "Beat"), ("JOB", "Job"), ("PERMIT", "Permit"),
         ("RESULT_OK", "ResultOk"), ("PROFILE", "Profile"), ("DRAIN", "Drain"), ("QUEUE_LS", "QueueList"),
         ("QUEUE_PAGE", "QueuePage"), ("QUEUE_SHOW", "QueueShow"), ("STATS", "StatsAsk"), ("STATS_OK", "Stats"), ("QUEUE_ACT", "QueueAct"), ("QUEUE_ACTED", "QueueActed"),
         ("PAUSE", "Pause"), ("PAUSED", "Paused"),
         ("WITHDRAW", "Withdraw"), ("WITHDRAWN", "Withdrawn"))
LINES = {"address": "ann@example.test", "id": "a-1", "name": "lab", "profile": "lab", "smtp_server": "mail.example.test",
         "content_type": "application/pdf", "content_id": "logo@trackpro", "traceparent": "00-4bf9-00f0-01",
         "uris": "mailto:stop@example.test", "topic": "tpn1.a", "request_id": "a-1", "producer": "local", "ids": "a-1",
         "password": "file:/etc/secret", "pinned_public_key": "sha256//" + "A" * 43 + "="}


def fill(message, depth=0):
    """Something in every field."""
    for field in message.DESCRIPTOR.fields:
        many = field.label == field.LABEL_REPEATED
        if field.cpp_type == field.CPPTYPE_MESSAGE:
            if depth < 4:
                fill(getattr(message, field.name).add() if many else getattr(message, field.name), depth + 1)
            continue
        if field.cpp_type == field.CPPTYPE_STRING:
            value = LINES.get(field.name, "word") if field.type == field.TYPE_STRING else b"\x00\x01bytes"
        else:
            value = field.enum_type.values[-1].number if field.cpp_type == field.CPPTYPE_ENUM else 1
        if many:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)
    return message


def good_request(pb):
    request = pb.NotificationRequest(id="a-1", profile="lab", split=pb.SPLIT_ONE_EACH)
    m = request.message
    getattr(m, "from").address = "trackpro@example.test"
    m.to.add(name="Jürgen Größe", address="ann@bücher.test")
    m.cc.add(address="jörg@example.test")
    m.bcc.add(address="dee@example.test")
    m.subject, m.text = "Fällig: 3 Geräte", "Ihr Gerät\r\n.ist fällig\nFrom here\r\n"
    m.html = "<p>Ihr <b>Gerät</b> <img src=\"cid:logo@trackpro\"></p>"
    m.attachments.add(file_name="Prüf \"bericht\".pdf", content_type="application/pdf", content=b"%PDF\x00\xff")
    m.attachments.add(file_name="logo.png", content_type="image/png", content=b"png", is_inline=True,
                      content_id="logo@trackpro")
    m.headers.add(name="X-Asset", value="Gerät 17")
    m.list_unsubscribe.uris.append("https://example.test/stop")
    m.list_unsubscribe.one_click = True
    m.importance, m.request_read_receipt = pb.IMPORTANCE_HIGH, True
    return request


def good_settings(pb):
    yield "anonymous", pb.MailingSettings(smtp_server="mail.example.test", smtp_port=25)
    yield "basic", pb.MailingSettings(smtp_server="bücher.test", use_tls=True, authentication=pb.AUTHENTICATION_BASIC,
                                      user_name="u", password="env:P", ca_file="/ca.pem", helo_name="[192.0.2.1]")
    yield "literal", pb.MailingSettings(smtp_server="[IPv6:2001:db8::1]", smtp_port=465, use_tls=True,
                                        pinned_public_key=LINES["pinned_public_key"])
    yield "pickup", pb.MailingSettings(smtp_server="/srv/pickup", use_pickup_folder=True)
    yield "mapi", pb.MailingSettings(method=pb.METHOD_MAPI, show_client_screen=True)


def write(parser, name, data):
    folder = HERE / "corpus" / parser
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def frames(kind, *parts):
    return bytes([kind]) + b"".join(struct.pack(">H", len(part)) + part for part in parts)


def main():
    with tempfile.TemporaryDirectory() as folder:
        pb = tpn_wire.load_protocol(folder)
        request = good_request(pb).SerializeToString()
        for number, (verb, kind) in enumerate(VERBS):
            body = fill(getattr(pb, kind)()).SerializeToString()
            write("check", f"full-{kind}", bytes([number]) + body)
            name = f"TPN1.{verb}".encode()
            write("wire", f"full-{kind}", frames(0, name, body, *([request] if verb == "JOB" else [])))
        write("check", "good-request", b"\x00" + request)
        write("request", "good", request)
        write("request", "full", fill(pb.NotificationRequest()).SerializeToString())
        plain = pb.NotificationRequest(id="a", message=pb.Message(subject="s", text="t"))
        getattr(plain.message, "from").address = "a@b.test"
        plain.message.to.add(address="c@d.test")
        for name, settings in good_settings(pb):
            write("settings", name, settings.SerializeToString())
            plain.settings.CopyFrom(settings)
            write("request", f"settings-{name}", plain.SerializeToString())
        beat = pb.Beat(sequence=1).SerializeToString()
        write("wire", "routed-req", frames(1, b"\x00\x00\x00\x00\x07", b"", b"TPN1.BEAT", beat))
        write("wire", "routed-dealer", frames(1, b"peer", b"TPN1.SUBMIT", request))
        write("wire", "event", frames(2, b"tpn1.local.SENT.a-1", fill(pb.StatusEvent()).SerializeToString()))
        joined = pb.Jobs(jobs=[pb.Job(lease=n, request_bytes=len(request)) for n in (1, 2)]).SerializeToString()
        write("wire", "jobs", frames(0, b"TPN1.JOBS", joined, request * 2))
        write("wire", "jobs-cut", frames(0, b"TPN1.JOBS", joined, request * 2 + b"x"))
        write("check", "jobs", b"\x2c" + joined)
        submits = pb.Submits(request_bytes=[len(request)] * 2).SerializeToString()
        write("wire", "submits", frames(0, b"TPN1.SUBMITS", submits, request * 2))
        write("wire", "submits-cut", frames(1, b"peer", b"TPN1.SUBMITS", submits, request * 2 + b"x"))
        write("wire", "submits-broken", frames(1, b"peer", b"TPN1.SUBMITS", pb.Submits(request_bytes=[3, len(request)]).SerializeToString(),
                                               b"\x0a\x7f\x01" + request))
        write("check", "submits", b"\x2d" + submits)
        write("check", "receipts", b"\x2e" + pb.Receipts(receipts=[fill(pb.Receipt())] * 2).SerializeToString())
        write("wire", "too-many", frames(0, b"TPN1.BEAT", beat, b"x", b"y", b"z", b"", b"", b""))


if __name__ == "__main__":
    main()
