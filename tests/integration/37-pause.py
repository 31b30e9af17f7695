"""Pauses by profile, producer, recipient domain and all; with an end; over a restart. What the broker keeps besides."""
import json
import os
import signal
import time

from tpn_harness import check, check_equal, run, smtp_profile, wait_until

QUICK = {"retry": {"delays": ["1s"]}, "worker": {"beat": "200ms", "liveness": "3s"}}


def stats(lab, broker):
    return json.loads(lab.tpn(broker, "status", "--json").stdout)


def queue(lab, broker, *words):
    result = lab.tpn(broker, "queue", *words)
    check_equal(result.returncode, 0, f"tpn queue {' '.join(words)}: {result.stdout}{result.stderr}")
    return result.stdout


def held(lab, broker):
    return {(hold["kind"], hold["scope"], hold.get("name", "")) for hold in stats(lab, broker).get("holds", [])}


def test_each_scope_holds_its_own_mail(lab):
    sink = lab.sink()
    broker = lab.broker({"a": smtp_profile(sink.port), "b": smtp_profile(sink.port)}, QUICK)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    for number, words in enumerate((("--profile", "a"), ("--producer", "local"), ("--all",),
                                    ("--domain", "Example.TEST"))):
        queue(lab, broker, "pause", *words, "--reason", "works")
        publisher.submit(lab.request(f"held{number}", profile="a"))
        publisher.submit(lab.request(f"other{number}", profile="b", to=["x@other.test"]))
        if words[0] in ("--profile", "--domain"):
            follower.wait_state(f"other{number}", "SENT")
        check(words[0] != "--domain" or "mail to Example.TEST is held by a pause" in lab.tpn(broker, "status").stdout,
              "tpn status tells of it")
        check_equal(len(held(lab, broker)), 1, "holds")
        check_equal(publisher.state(f"held{number}"), "ACCEPTED", f"held by {words}")
        queue(lab, broker, "resume", *words)
        for name in (f"held{number}", f"other{number}"):
            check_equal(follower.wait_state(name, "SENT").attempt, 1, f"attempts of {name}")
    check_equal(sink.count(), 8, "mails at the server")


def test_what_stands_aside_lets_the_others_pass_and_can_be_cancelled(lab):
    """2,000 for a paused domain before one for another, in one lane whose window is smaller."""
    sink = lab.sink()
    broker = lab.broker({"lab": smtp_profile(sink.port)}, QUICK)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    queue(lab, broker, "pause", "--domain", "slow.test")
    pipeline = lab.pipeline(broker)
    for number in range(2000):
        pipeline.send(lab.request(f"s{number}", to=["a@slow.test"]))
    pipeline.settle(60)
    publisher.submit(lab.request("quick", to=["a@quick.test"]))
    follower.wait_state("quick", "SENT")
    check_equal(sink.count(), 1, "mails while it is paused")
    queue(lab, broker, "cancel", "s0")
    check_equal(publisher.state("s0"), "CANCELLED", "one that stood aside")
    end_ms = int(time.time() * 1000) + 1000
    publisher.submit(lab.request("short", to=["a@slow.test"], expire_at_ms=end_ms))
    follower.wait_state("short", "EXPIRED")
    queue(lab, broker, "resume", "--domain", "slow.test")
    wait_until(lambda: sink.count() == 2000, "the mails that stood aside", 60)


def test_a_pause_ends_by_itself_and_holds_over_a_restart(lab):
    sink = lab.sink()
    broker = lab.broker({"lab": smtp_profile(sink.port)}, QUICK)
    worker = lab.worker(broker)
    check(worker, "worker")
    publisher = lab.publisher(broker)
    queue(lab, broker, "pause", "--profile", "lab", "--for", "1h", "--reason", "wait")
    queue(lab, broker, "pause", "--all", "--for", "4s")
    publisher.submit(lab.request("r"))
    broker.kill()
    broker.start()
    check_equal(held(lab, broker), {("PAUSE", "PROFILE", "lab"), ("PAUSE", "ALL", "")}, "after the restart")
    check_equal(int(stats(lab, broker)["flows"][0]["waiting"]), 1, "waiting after the restart")
    wait_until(lambda: held(lab, broker) == {("PAUSE", "PROFILE", "lab")}, "the short one to end")
    check_equal(sink.count(), 0, "mails")
    queue(lab, broker, "resume", "--profile", "lab")
    wait_until(lambda: sink.count() == 1, "the mail")
    rows = ((2, "pause"), (2, "pause", "--all", "--profile", "lab"), (2, "pause", "--profile", "nobody"),
            (2, "pause", "--all", "--for", "soon"), (1, "resume", "--all"), (2, "pause", "--all", "x"))
    for code, *words in rows:
        check_equal(lab.tpn(broker, "queue", *words).returncode, code, f"tpn queue {' '.join(words)}")
    audit = [line for line in broker.text().splitlines() if " audit " in line and "act=pause" in line]
    check_equal(sum("outcome=done" in line for line in audit), 2, "audit records of what was done")


def test_latch_and_day_hold_over_a_restart_and_resume_lets_one_try_through(lab):
    server = lab.faultd("auth-535")
    sink = lab.sink()
    os.environ["TPN_TEST_PASSWORD"] = "secret"
    login = smtp_profile(server.port, authentication="basic", user_name="lab", password="env:TPN_TEST_PASSWORD",
                         allow_cleartext_auth=True)
    broker = lab.broker({"login": login, "day": smtp_profile(sink.port, max_recipients_per_day=2)}, QUICK)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("l", profile="login"))
    publisher.submit(lab.request("d", profile="day", to=["a@x.test", "b@x.test"]))
    follower.wait_state("d", "SENT")
    wait_until(lambda: ("LOGIN", "PROFILE", "login") in held(lab, broker), "the latch")
    broker.kill()
    broker.start()
    publisher.submit(lab.request("d2", profile="day"))
    want = {("LOGIN", "PROFILE", "login"), ("DAY", "PROFILE", "day")}
    wait_until(lambda: held(lab, broker) == want, "both to be known after the restart")
    check_equal(publisher.state("d2"), "ACCEPTED", "the third recipient of the day")
    check_equal(sum(line.startswith(b"AUTH") for line in server.commands), 1, "logins")
    server.set_mode("auth-ok")
    queue(lab, broker, "resume", "--profile", "login")
    wait_until(lambda: publisher.state("l") == "SENT", "the one try")


def test_quiet_hours_hold_all_but_urgent_mail(lab):
    sink = lab.sink()
    now = time.localtime()
    later = f"{(now.tm_hour + 2) % 24:02}:00-{(now.tm_hour + 3) % 24:02}:00"
    broker = lab.broker({"quiet": smtp_profile(sink.port, quiet_hours=["00:00-24:00"]),
                         "later": smtp_profile(sink.port, quiet_hours=later)}, QUICK)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("normal", profile="quiet"))
    publisher.submit(lab.request("urgent", profile="quiet", priority=lab.pb.PRIORITY_URGENT))
    publisher.submit(lab.request("other", profile="later"))
    follower.wait_state("urgent", "SENT")
    follower.wait_state("other", "SENT")
    check_equal(publisher.state("normal"), "ACCEPTED", "not urgent, in quiet hours")
    check_equal(held(lab, broker), {("QUIET", "PROFILE", "quiet")}, "holds")
    broker.write_profiles({"quiet": smtp_profile(sink.port), "later": smtp_profile(sink.port)})
    os.kill(broker.pid, signal.SIGHUP)
    follower.wait_state("normal", "SENT")


if __name__ == "__main__":
    run(globals())
