"""resend_marked, when no attempt is ever confirmed: it ends, and what may have arrived is never called refused."""
import time

from tpn_harness import check, check_equal, run, smtp_profile, wait_until
from tpn_wire import outcome_name

QUICK = {"retry": {"delays": ["500ms"]}}
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
                        QUICK)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("gone", expire_at_ms=int(time.time() * 1000) + 4000))
    wait_until(lambda: len(server.contents) >= 1, "the first attempt")
    server.set_mode("greet-421")
    follower.wait_state("gone", "EXPIRED", timeout_s=30)
    check_equal(outcomes(lab, publisher, "gone"), ["UNKNOWN"], "it may have arrived, so it was not refused")


def test_a_refusal_does_not_wash_the_mark_off(lab):
    """Unknown, then refused, then sent again by a person: the person who gets it twice can see it."""
    server = lab.faultd("drop-after-dot")
    broker = lab.broker({"lab": smtp_profile(server.port, unknown_policy="resend_marked")}, QUICK)
    lab.worker(broker)
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("washed"))
    wait_until(lambda: len(server.contents) >= 1, "the first attempt")
    server.set_mode("data-554")
    follower.wait_state("washed", "FAILED", timeout_s=30)
    server.set_mode("plain")
    check_equal(lab.tpn(broker, "queue", "retry", "washed").returncode, 0, "tpn queue retry")
    follower.wait_state("washed", "SENT", timeout_s=30)
    check([MARK in content for content, _ in server.contents] == [False, True], "the second copy has no mark")


def test_parts_keep_their_mark(lab):
    """One mail each: the permit of a part does not wash it off, nor does a server that puts it off."""
    server = lab.faultd("drop-after-dot")
    broker = lab.broker({"lab": smtp_profile(server.port, unknown_policy="resend_marked")}, QUICK)
    lab.worker(broker)
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("parts", to=["ann@e.test", "bob@e.test"], split=lab.pb.SPLIT_ONE_EACH))
    wait_until(lambda: len(server.contents) >= 2, "the first attempts")
    server.set_mode("data-451")  # the permit has been asked for by then
    follower.wait_for(lambda f: any(r.smtp_code == 451 for e in f.of("parts") for r in e.recipients), "an attempt put off", 30)
    server.set_mode("plain")
    follower.wait_state("parts", "SENT", timeout_s=60)
    marks = [MARK in content for content, _ in server.contents]
    check_equal(marks[2:], [True] * (len(marks) - 2), "marks of the later copies")


run(globals())
