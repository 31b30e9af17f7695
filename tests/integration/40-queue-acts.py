"""Operations on the queue that are no move: hold and release, edit, redrive, purge; filters by label and age; the audit log."""
import json
import sqlite3
import subprocess
import time

from tpn_harness import check, check_equal, find_program, parse_mail, run, smtp_profile, wait_until
from tpn_stage import PlainWorker
from tpn_wire import outcome_name

LATE = {"retry": {"delays": ["1h"]}}


def audit_of(broker):
    """(number, packed record) of every audit record; the broker must be down."""
    with sqlite3.connect(broker.data / "store.db") as db:
        return db.execute("select number, record from audit order by number").fetchall()


def test_held_waits_until_released(lab):
    """What is held is not sent, not even after a restart; what is released goes at once."""
    sink = lab.sink()
    broker = lab.broker({"lab": smtp_profile(sink.port)})
    publisher = lab.publisher(broker)
    later = int(time.time() * 1000) + 3600000
    for name in ("one", "two", "three"):
        publisher.submit(lab.request(name, not_before_ms=later if name == "three" else 0))
    result = lab.tpn(broker, "queue", "hold", "one", "three", "--reason", "wrong list?")
    check_equal(result.returncode, 0, f"hold: {result.stdout} {result.stderr}")
    check(result.stdout.startswith("one ACCEPTED, held by ") and result.stdout.endswith("2 done, 0 refused\n"), result.stdout)
    check_equal(lab.tpn(broker, "queue", "hold", "one").returncode, 1, "once more")
    lab.worker(broker)
    wait_until(lambda: publisher.state("two") == "SENT", "the one that is not held")
    check_equal(publisher.state("one"), "ACCEPTED", "held")
    broker.kill()
    broker.start()
    publisher = lab.publisher(broker)
    wait_until(lambda: "three" in lab.tpn(broker, "queue", "ls", "--held").stdout, "the holds after a restart")
    publisher.submit(lab.request("four"))
    wait_until(lambda: publisher.state("four") == "SENT", "the worker to be back")
    check_equal(publisher.state("one"), "ACCEPTED", "held after the restart")
    line = json.loads(lab.tpn(broker, "queue", "ls", "--held", "--prefix", "one", "--json").stdout)
    check_equal((line["held"], line["state"]), (True, "ACCEPTED"), "--json")
    check_equal(lab.tpn(broker, "queue", "release", "two").returncode, 1, "what is not held")
    check_equal(lab.tpn(broker, "queue", "release", "one", "three").returncode, 0, "release")
    wait_until(lambda: publisher.state("one") == "SENT", "what was released")
    check_equal(publisher.state("three"), "ACCEPTED", "it waits for its time")
    check_equal(lab.tpn(broker, "queue", "hold", "--all").stdout.split()[:2], ["three", "ACCEPTED,"], "all that waits")
    check_equal(lab.tpn(broker, "queue", "cancel", "three").returncode, 0, "cancel of what is held")
    check_equal(sink.count(), 3, "mails")
    broker.stop()
    acts = [record for _, record in audit_of(broker)]
    for act in (b"hold", b"release", b"cancel"):
        check(any(act in record for record in acts), f"no audit record of {act.decode()}")
    check(any(b"wrong list?" in record for record in acts), "the reason stands in the audit log")


def test_an_old_worker_gets_nothing_that_was_edited(lab):
    """It would pass over what it does not know, and send it to whom the producer wrote."""
    sink = lab.sink()
    broker = lab.broker({"lab": smtp_profile(sink.port)}, LATE)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("edited", to=["old@e.test"]))
    publisher.submit(lab.request("plain"))
    check_equal(lab.tpn(broker, "queue", "edit", "edited", "--recipient", "old@e.test=new@e.test").returncode, 0, "edit")
    old = PlainWorker(lab, broker)
    lease = old.job().lease
    old.ask(lease)
    check_equal([part.lease for part in old.permit().granted], [lease], "permit")
    old.report(lease, "plain", lab.pb.OUTCOME_DELIVERED, smtp_code=250)
    old.say(b"TPN1.CREDIT", lab.pb.Credit(jobs=1))
    wait_until(lambda: publisher.state("plain") == "SENT", "the job that the old worker got")
    check_equal(publisher.state("edited"), "ACCEPTED", "the other one")
    lab.worker(broker)
    wait_until(lambda: publisher.state("edited") == "SENT", "a worker that knows edits")
    check_equal(sink.count(), 1, "mails")


def test_edit_then_retry(lab):
    """A wrong address is mended and the mail goes to the new one; the stored bytes stay as the producer sent them."""
    server = lab.faultd()
    broker = lab.broker({"lab": smtp_profile(server.port), "other": smtp_profile(server.port)}, LATE)
    publisher = lab.publisher(broker)
    lab.worker(broker)
    request = lab.request("typo", to=["ann@e.test", "no1@e.test"])
    request.message.to[1].name = "Bob Wrong"
    publisher.submit(request)
    wait_until(lambda: publisher.state("typo") == "FAILED", "the refusal")
    rows = ((2, ["typo", "--recipient", "nobody@e.test=x@e.test"], "it has no such recipient"),
            (2, ["typo", "--recipient", "no1@e.test"], "write OLD=NEW"),
            (1, ["typo", "--recipient", "no1@e.test=not an address"], "cannot be one"),
            (1, ["typo", "--recipient", "ann@e.test=eve@e.test"], "that recipient has the mail"),
            (1, ["typo", "--recipient", "no1@e.test=NO1@e.test"], "this address already"),
            (1, ["typo", "--to-profile", "nope"], "no such profile"),
            (2, ["typo"], "--recipient or --to-profile"), (3, ["unheard", "--to-profile", "lab"], ""))
    for code, argv, said in rows:
        result = lab.tpn(broker, "queue", "edit", *argv)
        check_equal(result.returncode, code, f"edit {argv}: {result.stdout} {result.stderr}")
        check(said in result.stdout + result.stderr, f"edit {argv}: {result.stdout} {result.stderr}")
    result = lab.tpn(broker, "queue", "edit", "typo", "--recipient", "no1@e.test=bob@e.test", "--to-profile", "other",
                     "--reason", "left the company", "--retry")
    check_equal(result.returncode, 0, f"edit: {result.stdout} {result.stderr}")
    wait_until(lambda: publisher.state("typo") == "SENT", "the mended request")
    content, recipients = server.contents[-1]
    check_equal(recipients, ["bob@e.test"], "the envelope of the second attempt")
    mail = parse_mail(content)
    check("bob@e.test" in mail["To"] and "Bob Wrong" not in mail["To"] and "no1@" not in mail["To"], f"To: {mail['To']}")
    story = publisher.query(["typo"], with_history=True)[0]
    check_equal(story.profile, "other", "profile")
    check_equal([r.address for r in story.recipients], ["ann@e.test", "bob@e.test"], "recipients")
    edits = [e for e in story.history if e.operator]
    check(len(edits) == 1 and "left the company" in edits[0].reason, f"history: {edits}")
    check_equal([r.address for r in edits[0].recipients], ["bob@e.test"], "what the event tells")
    check_equal(lab.tpn(broker, "queue", "edit", "typo", "--to-profile", "lab").returncode, 1, "edit of what was sent")


def test_edit_of_what_waits_reaches_the_worker_after_a_restart(lab):
    sink = lab.sink()
    broker = lab.broker({"lab": smtp_profile(sink.port)})
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("waits", to=["ann@e.test", "bob@e.test"]))
    for change in ("ann@e.test=eve@e.test", "bob@e.test=joe@e.test", "eve@e.test=amy@e.test"):
        check_equal(lab.tpn(broker, "queue", "edit", "waits", "--recipient", change).returncode, 0, change)
    broker.stop()
    broker.start()
    lab.worker(broker)
    publisher = lab.publisher(broker)
    wait_until(lambda: publisher.state("waits") == "SENT", "the edited request")
    check_equal(sink.mails()[0]["rcpt"], ["amy@e.test", "joe@e.test"], "the envelope")


def test_edit_of_a_refused_one_while_others_are_deferred(lab):
    """The new address is tried, although the old one was refused for good."""
    server = lab.faultd()
    broker = lab.broker({"lab": smtp_profile(server.port)}, LATE)
    publisher = lab.publisher(broker)
    lab.worker(broker)
    publisher.submit(lab.request("mixed", to=["no1@e.test", "grey1@e.test"]))
    wait_until(lambda: publisher.state("mixed") == "DEFERRED", "the first attempt")
    result = lab.tpn(broker, "queue", "edit", "mixed", "--recipient", "no1@e.test=bob@e.test", "--retry")
    check_equal(result.returncode, 0, f"edit: {result.stdout} {result.stderr}")
    wait_until(lambda: any("bob@e.test" in recipients for _, recipients in server.contents), "the new address")
    wait_until(lambda: {r.address: outcome_name(lab.pb, r.outcome) for r in publisher.query(["mixed"])[0].recipients}
               ["bob@e.test"] == "DELIVERED", "its outcome")


def test_edit_of_what_may_have_arrived_then_resolved_as_sent(lab):
    """The others have it; whom the edit put in is sent to, at once."""
    server = lab.faultd("drop-after-dot")
    broker = lab.broker({"lab": smtp_profile(server.port)}, LATE)
    publisher = lab.publisher(broker)
    lab.worker(broker)
    publisher.submit(lab.request("doubt", to=["ann@e.test", "bob@e.test"]))
    wait_until(lambda: publisher.state("doubt") == "UNKNOWN", "the doubt")
    server.set_mode("plain")
    check_equal(lab.tpn(broker, "queue", "edit", "doubt", "--recipient", "bob@e.test=eve@e.test").returncode, 0, "edit")
    check_equal(lab.tpn(broker, "queue", "resolve", "doubt", "--as", "sent").returncode, 0, "resolve")
    wait_until(lambda: publisher.state("doubt") == "SENT", "the new one")
    check_equal(server.contents[-1][1], ["eve@e.test"], "the envelope of the second mail")


def test_an_edit_back_does_not_forget_who_may_have_it(lab):
    """bob may have the mail; out and in again, he still may: his next mail says so, and nobody calls him refused."""
    server = lab.faultd("drop-after-dot")
    broker = lab.broker({"lab": smtp_profile(server.port)}, LATE)
    publisher = lab.publisher(broker)
    lab.worker(broker)
    for name in ("again", "ended"):
        publisher.submit(lab.request(name, to=["bob@e.test"]))
        wait_until(lambda name=name: publisher.state(name) == "UNKNOWN", "the doubt")
    server.set_mode("plain")
    broker.stop()  # what is noted of an edit is on the disk
    broker.start()
    publisher = lab.publisher(broker)
    for name in ("again", "ended"):
        for change in ("bob@e.test=eve@e.test", "eve@e.test=amy@e.test", "amy@e.test=Bob@e.test"):
            check_equal(lab.tpn(broker, "queue", "edit", name, "--recipient", change).returncode, 0, change)
    check(publisher.query(["again"])[0].recipients[0].may_have_it, "the mark of who is back")
    check_equal(lab.tpn(broker, "queue", "resolve", "again", "--as", "resend").returncode, 0, "resolve")
    wait_until(lambda: publisher.state("again") == "SENT", "the mail")
    check_equal(server.contents[-1][1], ["Bob@e.test"], "its envelope")
    check(b"X-TrackPro-Possible-Duplicate: yes" in server.contents[-1][0], "it carries no mark")
    check_equal(lab.tpn(broker, "queue", "cancel", "ended").returncode, 0, "cancel")
    recipient = publisher.query(["ended"])[0].recipients[0]
    check_equal(outcome_name(lab.pb, recipient.outcome), "UNKNOWN", "what is said of who may have it")


def test_redrive_purge_and_filters(lab):
    server = lab.faultd()
    broker = lab.broker({"lab": smtp_profile(server.port)}, LATE)
    publisher = lab.publisher(broker)
    lab.worker(broker)
    for i in range(6):
        request = lab.request(f"r{i}", to=["no1@e.test" if i < 4 else "ann@e.test"])
        request.labels.add(name="asset", value=str(i % 2))
        publisher.submit(request)
    wait_until(lambda: all(publisher.state(f"r{i}") in ("FAILED", "SENT") for i in range(6)), "outcomes")

    def listed(*argv):
        result = lab.tpn(broker, "queue", "ls", "--json", *argv)
        check_equal(result.returncode, 0, f"ls {argv}: {result.stderr}")
        return [json.loads(line)["id"] for line in result.stdout.splitlines()]

    check_equal(listed("--label", "asset=1"), ["r1", "r3", "r5"], "by label")
    check_equal(listed("--label", "asset=1", "--state", "FAILED"), ["r1", "r3"], "by label and state")
    check_equal(listed("--label", "asset=7"), [], "no such label")
    check_equal(listed("--older", "1h"), [], "older")
    check_equal(len(listed("--newer", "1h")), 6, "newer")
    check_equal(lab.tpn(broker, "queue", "ls", "--label", "asset").returncode, 2, "label without a value")
    check_equal(lab.tpn(broker, "queue", "ls", "--older", "soon").returncode, 2, "no age")

    check_equal(lab.tpn(broker, "queue", "redrive", "r4").returncode, 1, "redrive of what was sent")
    result = lab.tpn(broker, "queue", "redrive", "--label", "asset=0", "--reason", "once more")
    check_equal((result.returncode, result.stdout.splitlines()[-1]), (0, "2 done, 0 refused"), f"redrive {result.stdout}")
    wait_until(lambda: all(publisher.query([r], with_history=True)[0].attempt == 2 and publisher.state(r) == "FAILED"
                           for r in ("r0", "r2")), "the second attempts")
    check_equal(publisher.query(["r1"])[0].attempt, 1, "the others")

    check_equal(lab.tpn(broker, "queue", "purge", "--state", "FAILED").returncode, 2, "purge without --yes")
    result = lab.tpn(broker, "queue", "purge", "--yes", "--state", "FAILED", "--label", "asset=0")
    check_equal((result.returncode, result.stdout.splitlines()), (0, ["r0 forgotten, was FAILED", "r2 forgotten, was FAILED",
                                                                      "2 done, 0 refused"]), "purge")
    check_equal(listed(), ["r1", "r3", "r4", "r5"], "what is left")
    check_equal(lab.tpn(broker, "queue", "purge", "--yes", "r0").returncode, 3, "purge of what is gone")
    waits = lab.request("waits", not_before_ms=int(time.time() * 1000) + 3600000)
    publisher.submit(waits)
    check_equal(lab.tpn(broker, "queue", "purge", "--yes", "waits").returncode, 1, "purge of what waits")
    check_equal(lab.pb.ReceiptStatus.Name(publisher.submit(lab.request("r0")).status), "RECEIPT_STATUS_ACCEPTED", "its id is new")
    wait_until(lambda: publisher.state("r0") == "SENT", "the new r0")
    for process in lab.processes:
        process.stop()
    done = subprocess.run([find_program("tpn-broker"), "--data", str(broker.data), "--check-store"], capture_output=True,
                          text=True, check=False)
    check_equal(done.returncode, 0, f"--check-store: {done.stdout} {done.stderr}")


run(globals())
