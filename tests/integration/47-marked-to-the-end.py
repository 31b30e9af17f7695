"""resend_marked, when no attempt is ever confirmed: it ends, and what may have arrived is never called refused."""
import time

from tpn_harness import check, check_equal, run, smtp_profile, wait_until
from tpn_wire import outcome_name

MARK = b"X-TrackPro-Possible-Duplicate: yes"


def outcomes(lab, publisher, name):
    return [outcome_name(lab.pb, r.outcome) for r in publisher.query([name])[0].recipients]


def test_no_more_copies_when_it_is_too_old(lab):
    """A server that takes every mail and breaks off before it says so."""
    server = lab.faultd("drop-after-dot")
    broker = lab.broker({"lab": smtp_profile(server.port, unknown_policy="resend_marked")},
                        {"retry": {"delays": ["500ms"], "max_age": "3s"}})
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("again"))
    wait_until(lambda: follower.pump() or follower.states("again")[-1:] == ["UNKNOWN"]
               and time.time() * 1000 > follower.of("again")[0].at_ms + 5000, "it to be left alone", 40)
    copies = len(server.contents)
    check(copies >= 2, f"{copies} mails: it was not sent again")
    check(all(MARK in content for content, _ in server.contents[1:]), "a copy without the mark")
    check_equal(outcomes(lab, publisher, "again"), ["UNKNOWN"], "outcome")
    publisher.submit(lab.request("clock"))  # the pool works on
    follower.wait_state("clock", "DEFERRED")
    check_equal(sum(b"Due: again" in content for content, _ in server.contents), copies, "mails after its end")


def test_expired_after_an_unknown_attempt(lab):
    server = lab.faultd("drop-after-dot")
    broker = lab.broker({"lab": smtp_profile(server.port, unknown_policy="resend_marked")},
                        {"retry": {"delays": ["500ms"]}})
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("gone", expire_at_ms=int(time.time() * 1000) + 4000))
    wait_until(lambda: len(server.contents) >= 1, "the first attempt")
    server.set_mode("greet-421")
    follower.wait_state("gone", "EXPIRED", timeout_s=30)
    check_equal(outcomes(lab, publisher, "gone"), ["UNKNOWN"], "it may have arrived, so it was not refused")


run(globals())
