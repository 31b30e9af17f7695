"""An edit of a request that is over changes no state: it says that a retry is wanted, and no recipient is left open."""
import json
import time

from tpn_harness import check, check_equal, run, smtp_profile, wait_until
from tpn_wire import outcome_name

LATE = {"retry": {"delays": ["1h"]}}
NOT_TRIED = "put in by an edit and not tried: retry the request"
OPEN = ("PENDING", "DEFERRED", "PERMITTED")


def edit(lab, broker, request_id, change, said):
    result = lab.tpn(broker, "queue", "edit", request_id, "--recipient", change)
    check_equal(result.returncode, 0, f"edit: {result.stdout} {result.stderr}")
    check(said in result.stdout, f"edit says: {result.stdout}")


def outcomes(lab, publisher, request_id):
    return {r.address: outcome_name(lab.pb, r.outcome) for r in publisher.query([request_id])[0].recipients}


def last_lines(lab, broker, *command):
    """What is said of the recipients as they stand: the indented lines at the end."""
    lines = lab.tpn(broker, *command).stdout.splitlines()
    return [line for line in lines if line.startswith("  ") and not line.startswith("   ")]


def test_no_recipient_of_a_final_request_is_open(lab):
    server = lab.faultd()
    broker = lab.broker({"lab": smtp_profile(server.port)}, LATE)
    publisher = lab.publisher(broker)
    worker = lab.worker(broker)
    publisher.submit(lab.request("failed", to=["ann@e.test", "no1@e.test"]))
    wait_until(lambda: publisher.state("failed") == "FAILED", "the refusal")
    worker.stop()
    end_ms = int(time.time() * 1000) + 500
    publisher.submit(lab.request("expired", to=["no1@e.test"], expire_at_ms=end_ms))
    publisher.submit(lab.request("cancelled", to=["no1@e.test"]))
    check_equal(lab.tpn(broker, "queue", "cancel", "cancelled").returncode, 0, "cancel")
    wait_until(lambda: publisher.state("expired") == "EXPIRED", "the end of its time")
    for name in ("failed", "expired", "cancelled"):
        edit(lab, broker, name, "no1@e.test=bob@e.test", f"{name.upper()}, edited by")
        found = outcomes(lab, publisher, name)
        check_equal(found["bob@e.test"], "REFUSED", f"{name}: the new one")
        check(not any(one in OPEN for one in found.values()), f"{name}: {found}")
        for command in (("queue", "show", name), ("explain", name)):
            lines = last_lines(lab, broker, *command)
            check(any("bob@e.test" in line and NOT_TRIED in line for line in lines), f"{command}: {lines}")
        said = lab.tpn(broker, "queue", "edit", name, "--to-profile", "lab").stdout
        check("; it is not sent before it is retried" in said, f"the answer of an edit: {said}")
    out = lab.dir / "evidence.jsonl"
    done = lab.tpn(broker, "evidence", "export", "--from", "1d", "--output", str(out))
    check_equal(done.returncode, 0, f"export: {done.stdout} {done.stderr}")
    text = out.read_text()
    check_equal(text.count(NOT_TRIED), 3, "times that the evidence says it")
    lab.worker(broker)
    for name in ("failed", "expired", "cancelled"):
        check_equal(lab.tpn(broker, "queue", "retry", name).returncode, 0, f"retry of {name}")
        wait_until(lambda name=name: publisher.state(name) == "SENT", f"{name} after the retry")
        check_equal(outcomes(lab, publisher, name)["bob@e.test"], "DELIVERED", name)
    status = json.loads(lab.tpn(broker, "queue", "show", "failed", "--json").stdout)
    check_equal([one["text"] for one in status["recipients"] if NOT_TRIED in one["text"]], [], "words that are over")


def test_who_may_have_it_is_never_called_refused(lab):
    server = lab.faultd("drop-after-dot")
    broker = lab.broker({"lab": smtp_profile(server.port)}, LATE)
    publisher = lab.publisher(broker)
    lab.worker(broker)
    publisher.submit(lab.request("doubt", to=["bob@e.test"]))
    wait_until(lambda: publisher.state("doubt") == "UNKNOWN", "the doubt")
    edit(lab, broker, "doubt", "bob@e.test=no1@e.test", "; it is not sent before it is resolved")
    server.set_mode("plain")
    check_equal(lab.tpn(broker, "queue", "resolve", "doubt", "--as", "sent").returncode, 0, "resolve")
    wait_until(lambda: publisher.state("doubt") == "FAILED", "the refusal of the other")
    edit(lab, broker, "doubt", "no1@e.test=bob@e.test", "; it is not sent before it is retried")
    check_equal(outcomes(lab, publisher, "doubt"), {"bob@e.test": "UNKNOWN"}, "who is back")
    check_equal(lab.tpn(broker, "queue", "retry", "doubt").returncode, 0, "retry")
    wait_until(lambda: publisher.state("doubt") == "SENT", "the mail")
    check(b"X-TrackPro-Possible-Duplicate: yes" in server.contents[-1][0], "it carries no mark")


run(globals())
