"""What holds up one profile: a server that is down, a refused login, a quota, and the limits of the whole pool."""
import json
import os
import signal
import time

from tpn_harness import check, check_equal, free_port, run, smtp_profile, wait_until
from tpn_wire import state_name

QUICK = {"retry": {"delays": ["1s"]}, "worker": {"beat": "200ms", "liveness": "3s"}}


def stats(lab, broker):
    return json.loads(lab.tpn(broker, "status", "--json").stdout)


def holds(lab, broker):
    return {(hold["kind"], hold["name"]) for hold in stats(lab, broker).get("holds", [])}


def leases(lab, follower, *ids):
    follower.pump()
    return sum(e.state == lab.pb.STATE_LEASED for name in ids for e in follower.of(name))


def test_a_server_that_is_down_is_probed_by_one_mail_and_costs_no_attempt(lab):
    port = free_port()
    broker = lab.broker({"lab": smtp_profile(port, breaker_failures=1, breaker_wait="500ms")},
                        {**QUICK, "retry": {"delays": ["300ms"], "max_age": "1s"}})
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("r0"))
    follower.wait_state("r0", "DEFERRED")
    names = [f"r{n}" for n in range(10)]
    for name in names[1:]:
        publisher.submit(lab.request(name))
    wait_until(lambda: ("SERVER", "lab") in holds(lab, broker), "the breaker to open")
    wait_until(lambda: broker.text().count("kind=server state=open") >= 3, "two probes to fail")
    check(leases(lab, follower, *names) <= 3, f"{leases(lab, follower, *names)} leases for 3 openings")
    check("is held by a server that is down" in lab.tpn(broker, "status").stdout, "tpn status")
    sink = lab.sink("--port", str(port))
    for name in names:
        check_equal(follower.wait_state(name, "SENT", timeout_s=30).attempt, 1, f"attempts of {name}")
    check_equal(sink.count(), 10, "mails at the server")
    check_equal(holds(lab, broker), set(), "holds at the end")


def test_one_refused_login_for_the_whole_pool(lab):
    server = lab.faultd("auth-535")
    profile = smtp_profile(server.port, authentication="basic", user_name="lab", password="env:TPN_TEST_PASSWORD",
                           allow_cleartext_auth=True)
    os.environ["TPN_TEST_PASSWORD"] = "secret"
    broker = lab.broker({"lab": profile}, QUICK)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    workers = [lab.worker(broker, f"w{n}") for n in range(3)]
    check(workers, "workers")
    publisher.submit(lab.request("first"))
    follower.wait_state("first", "DEFERRED")
    for number in range(6):
        publisher.submit(lab.request(f"r{number}"))
    wait_until(lambda: ("LOGIN", "lab") in holds(lab, broker), "the latch")
    logins = sum(line.startswith(b"AUTH") for line in server.commands)
    check_equal(logins, 1, "logins before somebody mends it")
    os.kill(broker.pid, signal.SIGHUP)
    wait_until(lambda: broker.text().count("latch profile=lab") == 2, "one try after SIGHUP")
    check_equal(sum(line.startswith(b"AUTH") for line in server.commands), 2, "logins after SIGHUP")
    server.set_mode("auth-ok")
    os.kill(broker.pid, signal.SIGHUP)
    for name in ("first", *(f"r{n}" for n in range(6))):
        follower.wait_state(name, "SENT", timeout_s=30)


def test_no_more_mails_a_minute_than_allowed(lab):
    """5 a minute: 5 go at once, the others wait; of a request that is one mail each, as many as there is room for."""
    sink = lab.sink()
    broker = lab.broker({"lab": smtp_profile(sink.port, max_messages_per_minute=5)}, QUICK)
    workers = [lab.worker(broker, f"w{n}") for n in range(2)]
    check(workers, "workers")
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    for number in range(3):
        publisher.submit(lab.request(f"r{number}"))
    for number in range(3):
        follower.wait_state(f"r{number}", "SENT")
    people = [f"p{n}@example.test" for n in range(6)]
    publisher.submit(lab.request("each", to=people, split=lab.pb.SPLIT_ONE_EACH))
    publisher.submit(lab.request("late"))
    event = follower.wait_state("each", "DEFERRED")
    check_equal(event.reason, "the limits of its profile let only some of its recipients go at a time", "reason")
    wait_until(lambda: ("MINUTE", "lab") in holds(lab, broker), "the limit to hold it")
    check_equal(sink.count(), 5, "mails in the first minute")
    flow = stats(lab, broker)["flows"][0]
    check_equal((int(flow["waiting"]), int(flow["messages_in_minute"])), (2, 5), "waiting, in the minute")
    check("empty_at_ms" in flow, "a forecast")
    check_equal(leases(lab, follower, "late"), 0, "leases of the late one")


def test_a_mail_for_all_waits_until_it_fits_the_day(lab):
    sink = lab.sink()
    broker = lab.broker({"lab": smtp_profile(sink.port, max_recipients_per_day=6)}, QUICK)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("three", to=[f"a{n}@example.test" for n in range(3)]))
    follower.wait_state("three", "SENT")
    publisher.submit(lab.request("two", to=[f"c{n}@example.test" for n in range(2)]))
    follower.wait_state("two", "SENT")
    publisher.submit(lab.request("four", to=[f"b{n}@example.test" for n in range(4)]))
    wait_until(lambda: int(stats(lab, broker)["flows"][0]["waiting"]) == 1, "the second to be there")
    check_equal(leases(lab, follower, "four"), 0, "leases of what does not fit the day")
    publisher.submit(lab.request("one"))
    wait_until(lambda: int(stats(lab, broker)["flows"][0]["waiting"]) == 2, "the third to be there")
    flow = stats(lab, broker)["flows"][0]
    check(int(flow["empty_at_ms"]) > (time.time() + 23 * 3600) * 1000, "the forecast knows of the day")


def test_what_did_not_get_a_permit_is_not_counted(lab):
    port = free_port()
    broker = lab.broker({"lab": smtp_profile(port, max_recipients_per_day=5)}, QUICK)
    lab.worker(broker)
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("down", to=[f"a{n}@example.test" for n in range(5)]))
    follower.wait_state("down", "DEFERRED")
    sink = lab.sink("--port", str(port))
    event = follower.wait_state("down", "SENT", timeout_s=20)
    check_equal(state_name(lab.pb, event.state), "SENT", "state")
    check_equal(sink.count(), 1, "mails at the server")
    check_equal(int(stats(lab, broker)["flows"][0]["recipients_in_day"]), 5, "counted once")


def test_the_next_failover_profile_takes_over_and_the_own_one_comes_back(lab):
    port = free_port()
    second = lab.sink()
    own = smtp_profile(port, breaker_failures=1, breaker_wait="1s", failover_profile=["dead", "second"])
    dead = smtp_profile(free_port(), breaker_failures=1, breaker_wait="1h")
    broker = lab.broker({"own": own, "dead": dead, "second": smtp_profile(second.port)}, QUICK)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    for name in ("r0", "r1", "r2"):
        publisher.submit(lab.request(name, profile="own"))
        sent = follower.wait_state(name, "SENT", timeout_s=30)
        check_equal(sent.profile, "own", "it stays a request of its profile")
        told = [e.reason for e in follower.of(name) if e.state == lab.pb.STATE_LEASED][-1]
        check_equal(told, "by its failover profile second", f"told in the history of {name}")
    check_equal(second.count(), 3, "mails at the second server")
    sink = lab.sink("--port", str(port))
    wait_until(lambda: publisher.submit(lab.request(f"x{time.monotonic_ns()}", profile="own")) and sink.count() > 0,
               "the own server to be used again", every_s=0.3)


def test_each_profile_has_its_own_retries(lab):
    server = lab.faultd()
    quick = smtp_profile(server.port, retry_delays=["200ms", "300ms"], max_age="1s")
    broker = lab.broker({"quick": quick, "slow": smtp_profile(server.port)}, {"retry": {"delays": ["1h"]}})
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    for name in ("quick", "slow"):
        publisher.submit(lab.request(name, profile=name, to=["grey1@e.test"]))
    failed = follower.wait_state("quick", "FAILED")
    check_equal(failed.reason, "gave up: too old to be tried again", "reason")
    check(failed.attempt >= 3, f"{failed.attempt} attempts")
    event = follower.wait_state("slow", "DEFERRED")
    check(event.next_attempt_ms - event.at_ms > 2000000, "the other one waits as the broker says")


def test_what_may_have_arrived_does_not_fail_over(lab):
    server = lab.faultd("drop-after-dot")
    second = lab.sink()
    own = smtp_profile(server.port, breaker_failures=1, breaker_wait="1h", unknown_policy="resend_marked",
                       failover_profile="second")
    broker = lab.broker({"own": own, "second": smtp_profile(second.port)}, QUICK)
    lab.worker(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("doubt", profile="own"))
    wait_until(lambda: "sent again, marked" in str(publisher.query(["doubt"], with_history=True)), "the doubt")
    server.set_mode("greet-421")
    wait_until(lambda: ("SERVER", "own") in holds(lab, broker), "the breaker to open")
    publisher.submit(lab.request("plain", profile="own"))
    wait_until(lambda: publisher.state("plain") == "SENT", "one without doubt to fail over")
    check_equal(second.count(), 1, "mails at the second server")
    check(publisher.state("doubt") in ("DEFERRED", "ACCEPTED"), f"doubt: {publisher.state('doubt')}")


if __name__ == "__main__":
    run(globals())
