"""The main path: a due list becomes alerts, through broker and worker, into a folder and into a real mail server.

Every mail is read back by Python's email package, not by our code, and held against the due list.
"""
import csv
import datetime
import json
import re

from tpn_harness import (SOURCE_DIR, check, check_bytes_of_mail, check_equal, parse_mail, pickup_profile, run,
                         smtp_profile)

SAMPLE = SOURCE_DIR / "deploy" / "samples" / "due.csv"
TODAY = "2026-11-23"
SENDER = "trackpro@example.test"


def due_items(path, today):
    """{address: (name, {asset})} of what is past due, by TrackPro's rule; written again here on purpose."""
    wanted = {}
    with open(path, encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file, delimiter=";"):
            due = row["Due Date"] and datetime.datetime.strptime(row["Due Date"][:10], "%d.%m.%Y").date()
            if row["Status"] == "Active" and not row["Date Done"] and due and due.isoformat() < today:
                _, assets = wanted.setdefault(row["Custodian Email"].lower(), (row["Custodian"], set()))
                assets.add(row["Asset ID"])
    return wanted


def alert(lab, broker, *more):
    return lab.tpn(broker, "alert", "--items", SAMPLE, "--today", TODAY, "--profile", "lab", "--from", SENDER,
                   *more)


def check_alert(mail, wanted):
    """One parsed alert says what the list says; returns its one recipient."""
    people = mail["To"].addresses
    check_equal(len(people), 1, "recipients in To")
    address = people[0].addr_spec.lower()
    check(address in wanted, f"{address} has nothing that is due")
    name, assets = wanted[address]
    check_equal(people[0].display_name, name, f"{address}: name")
    check_equal(mail["From"].addresses[0].addr_spec, SENDER, "From")
    check(str(mail["Subject"]).startswith(f"Calibration due: {len(assets)} item"), f"subject: {mail['Subject']}")
    check(mail["Message-ID"] and mail["Date"], "Message-ID and Date")
    check_equal(mail["Auto-Submitted"], "auto-generated", "Auto-Submitted (RFC 3834)")
    every = set().union(*(of_one for _, of_one in wanted.values()))
    for kind in ("plain", "html"):
        words = set(re.findall(r"[A-Z]{2}-[0-9]{3}", mail.get_body((kind,)).get_content()))
        check_equal(words & every, assets, f"{address}: items in the {kind} part")
    return address


def test_alerts_into_a_pickup_folder(lab):
    wanted = due_items(SAMPLE, TODAY)
    check(len(wanted) >= 2, "the sample list has too few custodians to show anything")
    box = lab.folder("box")
    broker = lab.broker({"lab": pickup_profile(box, pickup_dialect="plain")})
    lab.worker(broker, roots=[box])
    first = alert(lab, broker, "--wait")
    check_equal(first.returncode, 0, f"exit status; said: {first.stdout}{first.stderr}")
    files = sorted(box.glob("*.eml"))
    check_equal([file.suffix for file in files], [".eml"] * len(wanted), "files in the folder")
    seen = []
    for file in files:
        check_bytes_of_mail(file.read_bytes(), file.name)
        seen.append(check_alert(parse_mail(file.read_bytes()), wanted))
    check_equal(sorted(seen), sorted(wanted), "custodians")
    # The same job again, as a scheduler that runs twice does it.
    second = alert(lab, broker, "--wait")
    check_equal(second.returncode, 0, f"second run; said: {second.stdout}{second.stderr}")
    check("duplicate" in (second.stdout + second.stderr).lower(), f"second run said: {second.stdout}")
    check_equal(sorted(box.glob("*.eml")), files, "files after the second run")


def test_alerts_into_postfix(lab):
    wanted = due_items(SAMPLE, TODAY)
    postfix = lab.postfix()
    broker = lab.broker({"lab": smtp_profile(postfix.port)})
    lab.worker(broker)
    result = alert(lab, broker, "--wait")
    check_equal(result.returncode, 0, f"exit status; said: {result.stdout}{result.stderr}")
    mails = [parse_mail(data) for data in postfix.wait_mails(len(wanted))]
    seen = [check_alert(mail, wanted) for mail in mails]
    check_equal(sorted(seen), sorted(wanted), "custodians")
    envelopes = sorted(str(mail["X-Original-To"]).lower() for mail in mails)
    check_equal(envelopes, sorted(wanted), "envelopes")
    check_equal({str(mail["Return-Path"]) for mail in mails}, {f"<{SENDER}>"}, "envelope sender")


def test_postfix_over_starttls_with_everything_in_a_mail(lab):
    postfix = lab.postfix()
    broker = lab.broker({"lab": {"smtp_server": "localhost", "smtp_port": postfix.port, "use_tls": True,
                                 "ca_file": str(postfix.certificate)}})
    lab.worker(broker)
    follower = lab.follower(broker)
    request = lab.request("whole", to=["ann@example.test"])
    message = request.message
    message.to[0].name = "Ann Müller, \"Lab\""
    message.cc.add(name="日本語", address="bob@example.test")
    message.bcc.add(address="cy@example.test")
    message.subject = "Kalibrierung fällig 🔧 " + "lang " * 40
    message.text = ".hidden dot\nFrom the start\n\nGrüße\n" + "x" * 2000 + "\n.\nend"
    message.html = "<p>Grüße <img src=\"cid:logo\"></p>"
    message.attachments.add(file_name="Prüf\"bericht.pdf", content_type="application/pdf",
                            content=bytes(range(256)) * 300)
    message.attachments.add(file_name="logo.png", content_type="image/png", content=b"\x89PNG\r\n.\r\n",
                            is_inline=True, content_id="logo")
    message.importance = lab.pb.IMPORTANCE_HIGH
    message.headers.add(name="X-Site", value="Zürich")
    lab.publisher(broker).submit(request)
    event = follower.wait_state("whole", "SENT", "DEFERRED", "FAILED")
    check_equal(event.state, lab.pb.STATE_SENT, f"state; {event}")
    check(event.tls_version.startswith("TLSv1."), f"TLS: {event.tls_version!r}")
    check(event.queue_id and event.queue_id in postfix.mail_log(), f"queue id {event.queue_id!r}")
    mails = [parse_mail(data) for data in postfix.wait_mails(3)]
    check_equal(sorted(str(m["X-Original-To"]) for m in mails),
                ["ann@example.test", "bob@example.test", "cy@example.test"], "envelopes")
    for mail in mails:
        check_equal(mail["Bcc"], None, "Bcc in the mail")
        check_equal(str(mail["Subject"]), message.subject, "subject")
        check_equal([(a.display_name, a.addr_spec) for a in mail["To"].addresses],
                    [("Ann Müller, \"Lab\"", "ann@example.test")], "To")
        check_equal(mail["Cc"].addresses[0].display_name, "日本語", "Cc")
        text = mail.get_body(("plain",)).get_content().rstrip("\n")
        check_equal(text, message.text, "text")
        check_equal(mail.get_body(("html",)).get_content().rstrip("\n"), message.html, "HTML")
        check_equal(str(mail["X-Site"]), "Zürich", "own header")
        files = {part.get_filename(): part.get_content() for part in mail.walk() if part.get_filename()}
        check_equal(files, {a.file_name: a.content for a in message.attachments}, "attachments")


def test_postfix_refuses_some(lab):
    postfix = lab.postfix()
    broker = lab.broker({"lab": smtp_profile(postfix.port)}, {"retry": {"delays": ["1h"]}})
    lab.worker(broker)
    follower = lab.follower(broker)
    request = lab.request("mixed", to=["ann@example.test", "reject@example.test", "grey@example.test"])
    lab.publisher(broker).submit(request)
    event = follower.wait_state("mixed", "DEFERRED", "SENT", "FAILED")
    told = {r.address: (r.outcome, r.smtp_code, r.enhanced_code) for r in event.recipients}
    pb = lab.pb
    check_equal(told, {"ann@example.test": (pb.OUTCOME_DELIVERED, 250, "2.0.0"),
                       "reject@example.test": (pb.OUTCOME_REFUSED, 550, "5.1.1"),
                       "grey@example.test": (pb.OUTCOME_DEFERRED, 450, "4.2.0")}, "recipients")
    check_equal(len(postfix.wait_mails(1)), 1, "mails")


def test_send_status_and_explain(lab):
    """The commands for people: each answer is right as text and as JSON."""
    box = lab.folder("box")
    broker = lab.broker({"lab": pickup_profile(box)})
    lab.worker(broker, roots=[box])
    sent = lab.tpn(broker, "send", "--id", "by-hand", "--profile", "lab", "--from", SENDER, "--to",
                   "ann@example.test", "--subject", "Hello", "--text", "Hello", "--wait")
    check_equal(sent.returncode, 0, f"send; said: {sent.stdout}{sent.stderr}")
    for words in (("status", "by-hand"), ("explain", "by-hand"), ("queue", "ls"), ("queue", "show", "by-hand")):
        plain = lab.tpn(broker, *words)
        check_equal(plain.returncode, 0, f"{words}; said: {plain.stdout}{plain.stderr}")
        check("HANDED_OFF" in plain.stdout and "by-hand" in plain.stdout, f"{words}: {plain.stdout}")
        as_json = lab.tpn(broker, *words, "--json")
        check_equal(as_json.returncode, 0, f"{words} --json; said: {as_json.stderr}")
        for line in as_json.stdout.splitlines() if words[0] == "queue" else [as_json.stdout]:
            json.loads(line)
    unknown = lab.tpn(broker, "explain", "never-seen")
    check(unknown.returncode != 0, "explain of an unknown id exits 0")


run(globals())
