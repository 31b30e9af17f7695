"""What operators can do to a request in each state: cancel, retry, resolve; and what is refused, with its reason.

Acts go through the tpn command where a person would use it, and over the admin socket where many states are asked."""
import collections
import contextlib
import json
import time

import tpn_wire
from tpn_harness import (SLOW, check, check_equal, free_port, parse_mail, pickup_profile, run, smtp_profile,
                         wait_until)
from tpn_wire import outcome_name, state_name

LATE = {"retry": {"delays": ["1h"]}}
COUNT = 1000
CANCEL, RETRY, SENT, RESEND = 1, 2, 3, 4


class Desk:
    """An operator at the admin socket."""

    def __init__(self, lab, broker):
        self.pb = lab.pb
        self.link = lab.enter_context(contextlib.closing(
            tpn_wire.Publisher(lab.pb, broker.endpoints["admin"])))

    def act(self, operation, *ids, reason="test", operator="ann", **more):
        body = self.pb.QueueAct(operation=operation, ids=ids, reason=reason, **more)
        setattr(body, "operator", operator)
        return self.link.answer([b"TPN1.QUEUE_ACT", body.SerializeToString()])[1]

    def one(self, operation, request_id, **more):
        """(done, before, after, reason) of one id."""
        got = self.act(operation, request_id, **more)
        check_equal([r.id for r in got.results], [request_id], "ids of the answer")
        result = got.results[0]
        return result.done, state_name(self.pb, result.before), state_name(self.pb, result.after), result.reason


def outcomes(lab, publisher, request_id):
    return {r.address: outcome_name(lab.pb, r.outcome) for r in publisher.query([request_id])[0].recipients}


def words(result):
    return result.returncode, result.stdout.strip(), result.stderr.strip()


def test_cancel_of_what_waits_is_final(lab):
    """DEFERRED on disk, ACCEPTED in the window, ACCEPTED for later, LEASED: none of them is sent."""
    sink = lab.sink()
    sink.stop()
    silent = lab.faultd("greet-never")
    broker = lab.broker({"lab": smtp_profile(sink.port), "silent": smtp_profile(silent.port, connect_timeout=f"{3 * SLOW:g}s")},
                        {"retry": {"delays": [f"{2 * SLOW:g}s"]}})
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    desk = Desk(lab, broker)
    publisher.submit(lab.request("window"))
    publisher.submit(lab.request("later", not_before_ms=int(time.time() * 1000) + 3000))
    check_equal(desk.one(CANCEL, "window", reason="no longer due"),
                (True, "ACCEPTED", "CANCELLED", "cancelled by ann: no longer due"), "in the window")
    check_equal(desk.one(CANCEL, "later")[:3], (True, "ACCEPTED", "CANCELLED"), "for later")
    check_equal(desk.one(CANCEL, "window")[:2], (False, "CANCELLED"), "once more")
    lab.worker(broker)
    publisher.submit(lab.request("deferred"))
    publisher.submit(lab.request("leased", profile="silent"))
    follower.wait_state("deferred", "DEFERRED")
    follower.wait_state("leased", "LEASED")
    check_equal(words(lab.tpn(broker, "queue", "cancel", "deferred", "leased", "--reason", "wrong list")),
                (0, "deferred CANCELLED, was DEFERRED\nleased CANCELLED, was LEASED\n2 done, 0 refused", ""), "tpn")
    sink.start()
    publisher.submit(lab.request("mark", not_before_ms=int(time.time() * 1000 + 4500 * SLOW)))
    follower.wait_state("mark", "SENT", timeout_s=30)
    wait_until(lambda: silent.connections > 0, "the worker to be with the silent server")
    for name in ("window", "later", "deferred", "leased"):
        check_equal(publisher.state(name), "CANCELLED", name)
        check_equal(outcomes(lab, publisher, name), {"ann@example.test": "REFUSED"}, name)
    check_equal(sink.count(), 1, "mails at the server")
    story = publisher.query(["deferred"], with_history=True)[0]
    check(story.history[-1].reason.endswith(": wrong list"), f"history: {story.history[-1].reason}")
    check_equal(state_name(lab.pb, follower.of("deferred")[-1].state), "CANCELLED", "told by the topic")
    acts = [line for line in broker.text().splitlines() if " act " in line]
    check_equal(sum("result=done" in line for line in acts), 4, "lines of what was done")
    check_equal(sum("result=refused" in line for line in acts), 1, "lines of what was refused")


def test_what_may_be_on_its_way_is_left_alone(lab):
    server = lab.faultd("stall-after-dot")
    broker = lab.broker({"lab": smtp_profile(server.port, content_timeout=f"{3 * SLOW:g}s")}, LATE)
    lab.worker(broker)
    follower = lab.follower(broker)
    desk = Desk(lab, broker)
    lab.publisher(broker).submit(lab.request("away"))
    wait_until(lambda: len(server.contents) == 1, "the content at the server")
    for operation in (CANCEL, RETRY, SENT, RESEND):
        check_equal(desk.one(operation, "away"), (False, "PERMITTED", "PERMITTED", "it may be on its way"),
                    f"operation {operation}")
    follower.wait_state("away", "UNKNOWN", timeout_s=20)
    check_equal(follower.states("away"), ["ACCEPTED", "LEASED", "PERMITTED", "UNKNOWN"], "states")


def test_refused_by_state(lab):
    """Every operation in every state that it is not for changes nothing and says why."""
    server = lab.faultd()
    broker = lab.broker({"lab": smtp_profile(server.port), "nobody": pickup_profile(lab.folder("box"))}, LATE)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    desk = Desk(lab, broker)
    publisher.submit(lab.request("waits", not_before_ms=int(time.time() * 1000) + 3600000))
    lab.worker(broker)
    for name, to, state in (("sent", "ann", "SENT"), ("failed", "no1", "FAILED"), ("deferred", "grey1", "DEFERRED")):
        publisher.submit(lab.request(name, to=[f"{to}@e.test"]))
        follower.wait_state(name, state)
    wrong = []
    for operation, name, state, reason in (
            (CANCEL, "sent", "SENT", "it was sent"), (CANCEL, "failed", "FAILED", "it has failed"),
            (RETRY, "sent", "SENT", "it was sent"), (RETRY, "waits", "ACCEPTED", "it waits for its turn"),
            (SENT, "sent", "SENT", "it was sent"), (SENT, "failed", "FAILED", "it has failed"),
            (SENT, "deferred", "DEFERRED", "it waits for its next attempt"),
            (RESEND, "failed", "FAILED", "it has failed"), (RESEND, "waits", "ACCEPTED", "it waits for its turn"),
            (CANCEL, "never-heard-of", "UNSPECIFIED", "no such request")):
        got = desk.one(operation, name)
        if got != (False, state, state, reason):
            wrong.append(f"operation {operation} on {name}: {got}")
    check(not wrong, "\n".join(wrong))
    rows = ((1, "cancel", "sent"), (3, "cancel", "never-heard-of"), (1, "cancel", "sent", "never-heard-of"),
            (2, "cancel"), (2, "cancel", "sent", "--all"), (2, "cancel", "--limit", "5"), (2, "resolve", "sent"),
            (2, "resolve", "sent", "--as", "nonsense"), (2, "retry", "--state", "nonsense"), (0, "retry", "--help"),
            (1, "resolve", "sent", "--as", "sent"), (0, "resolve", "--as", "sent", "--all"),
            (2, "cancel", "sent", "--reason", "x" * 129))
    for code, *argv in rows:
        result = lab.tpn(broker, "queue", *argv)
        check_equal(result.returncode, code, f"tpn queue {' '.join(argv)}: {result.stdout} {result.stderr}")
    line = json.loads(lab.tpn(broker, "queue", "cancel", "sent", "--json").stdout)
    check_equal((line["id"], line["done"], line["before"], line["reason"]), ("sent", False, "SENT", "it was sent"),
                "--json")
    kind, error = desk.link.answer([b"TPN1.QUEUE_ACT", lab.pb.QueueAct(operation=CANCEL, operator="x").SerializeToString()])
    check_equal((kind, error.reason), ("TPN1.ERROR", "either ids or a filter"), "neither ids nor filter")


def test_retry_brings_a_deferred_one_forward(lab):
    server = lab.faultd()
    broker = lab.broker({"lab": smtp_profile(server.port)}, LATE)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("grey", to=["ann@e.test", "grey1@e.test", "no1@e.test"]))
    follower.wait_state("grey", "DEFERRED")
    server.set_mode("all-welcome")
    check_equal(words(lab.tpn(broker, "queue", "retry", "grey")), (0, "grey ACCEPTED, was DEFERRED", ""), "tpn")
    follower.wait_state("grey", "FAILED")
    check_equal([people for _, people in server.accepted], [["ann@e.test"], ["grey1@e.test"]],
                "who was refused stays refused")


def test_redrive_sends_only_what_was_not_delivered(lab):
    server = lab.faultd()
    broker = lab.broker({"lab": smtp_profile(server.port)}, LATE)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("partly", to=["ann@e.test", "no1@e.test", "bob@e.test"]))
    check(follower.wait_state("partly", "FAILED").partial, "partly delivered")
    server.set_mode("all-welcome")
    check_equal(lab.tpn(broker, "queue", "retry", "partly", "--reason", "mailbox made").returncode, 0, "tpn")
    follower.wait_state("partly", "SENT")
    check_equal([people for _, people in server.accepted], [["ann@e.test", "bob@e.test"], ["no1@e.test"]],
                "envelopes")
    check_equal(set(outcomes(lab, publisher, "partly").values()), {"DELIVERED"}, "outcomes")
    mails = [parse_mail(content) for content, _ in server.accepted]
    check_equal(len({mail["Message-ID"] for mail in mails}), 1, "Message-IDs")
    check_equal([mail["X-TrackPro-Possible-Duplicate"] for mail in mails], [None, None], "marks")
    check_equal(Desk(lab, broker).one(RETRY, "partly")[:2], (False, "SENT"), "what was sent is not sent again")


def test_redrive_of_cancelled_and_expired(lab):
    """An expired one is tried once: its end has passed, and a person wants it all the same."""
    sink = lab.sink()
    sink.stop()
    broker = lab.broker({"lab": smtp_profile(sink.port, breaker_wait="1s")}, LATE)
    lab.worker(broker)
    follower = lab.follower(broker)
    desk = Desk(lab, broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("expired", expire_at_ms=int(time.time() * 1000 + 1500 * SLOW)))
    publisher.submit(lab.request("cancelled"))
    follower.wait_state("cancelled", "DEFERRED")
    check_equal(desk.one(CANCEL, "cancelled")[:3], (True, "DEFERRED", "CANCELLED"), "cancel")
    follower.wait_state("expired", "EXPIRED")
    check_equal(desk.one(RETRY, "expired")[:3], (True, "EXPIRED", "ACCEPTED"), "retry while the server is down")
    follower.wait_for(lambda f: f.states("expired").count("EXPIRED") == 2, "the one attempt, and its end")
    check_equal(follower.states("expired")[-3:], ["LEASED", "DEFERRED", "EXPIRED"], "the last steps")
    sink.start()
    got = desk.act(RETRY, "expired", "cancelled")
    check_equal([(r.done, state_name(lab.pb, r.after)) for r in got.results], [(True, "ACCEPTED")] * 2, "retry")
    follower.wait_state("expired", "SENT")
    follower.wait_state("cancelled", "SENT")
    check_equal(sink.count(), 2, "mails at the server")


def unknown(lab, to=("ann@e.test",)):
    """A request that is UNKNOWN, made by a server that goes after the final dot."""
    server = lab.faultd("drop-after-dot")
    broker = lab.broker({"lab": smtp_profile(server.port)}, LATE)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("lost", to=to))
    follower.wait_state("lost", "UNKNOWN")
    server.set_mode("plain")
    return server, broker, follower, publisher


def test_resolve_as_sent(lab):
    server, broker, follower, publisher = unknown(lab)
    check_equal(Desk(lab, broker).one(RETRY, "lost"), (False, "UNKNOWN", "UNKNOWN", "it may have been sent: resolve it"),
                "an unknown one is not simply tried again")
    result = lab.tpn(broker, "queue", "resolve", "lost", "--as", "sent", "--reason", "ann has it")
    check_equal(words(result), (0, "lost SENT, was UNKNOWN", ""), "tpn")
    follower.wait_state("lost", "SENT")
    recipient = publisher.query(["lost"])[0].recipients[0]
    check_equal(outcome_name(lab.pb, recipient.outcome), "DELIVERED", "outcome")
    check(recipient.text.startswith("resolved as sent by ") and recipient.text.endswith(": ann has it"), recipient.text)
    check_equal((len(server.contents), len(server.accepted)), (1, 0), "nothing more was sent")


def test_resolve_by_sending_again_is_marked(lab):
    server, broker, follower, publisher = unknown(lab, to=["ann@e.test", "no1@e.test"])
    check_equal(lab.tpn(broker, "queue", "resolve", "lost", "--as", "resend").returncode, 0, "tpn")
    follower.wait_state("lost", "FAILED")
    check_equal(outcomes(lab, publisher, "lost"), {"ann@e.test": "DELIVERED", "no1@e.test": "REFUSED"}, "outcomes")
    check_equal([people for _, people in server.accepted], [["ann@e.test"]], "who got it again")
    mails = [parse_mail(content) for content, _ in server.contents]
    check_equal([mail["X-TrackPro-Possible-Duplicate"] for mail in mails], [None, "yes"], "marks")


def test_a_resent_one_stays_marked_when_it_is_deferred(lab):
    server, broker, follower, publisher = unknown(lab)
    desk = Desk(lab, broker)
    server.set_mode("data-451")
    check_equal(desk.one(RESEND, "lost")[:3], (True, "UNKNOWN", "ACCEPTED"), "resend")
    event = follower.wait_state("lost", "DEFERRED")
    check_equal([r.smtp_code for r in event.recipients], [451], "the reply")
    server.set_mode("plain")
    check_equal(desk.one(RETRY, "lost")[:3], (True, "DEFERRED", "ACCEPTED"), "retry")
    follower.wait_state("lost", "SENT")
    check_equal(outcomes(lab, publisher, "lost"), {"ann@e.test": "DELIVERED"}, "outcomes")
    check_equal(parse_mail(server.accepted[0][0])["X-TrackPro-Possible-Duplicate"], "yes", "mark")


def test_cancel_of_an_unknown_one_then_retry_is_marked(lab):
    server, broker, follower, publisher = unknown(lab)
    desk = Desk(lab, broker)
    check_equal(desk.one(CANCEL, "lost")[:3], (True, "UNKNOWN", "CANCELLED"), "cancel")
    check_equal(outcomes(lab, publisher, "lost"), {"ann@e.test": "UNKNOWN"}, "it stays true that nobody knows")
    check_equal(desk.one(RETRY, "lost")[:3], (True, "CANCELLED", "ACCEPTED"), "retry")
    follower.wait_state("lost", "SENT")
    check_equal(parse_mail(server.accepted[0][0])["X-TrackPro-Possible-Duplicate"], "yes", "mark")


def test_a_thousand_by_filter(lab):
    """Many at once: cancelled while they wait (window and disk), redriven, and each sent exactly once."""
    sink = lab.sink()
    broker = lab.broker({"lab": smtp_profile(sink.port, max_connections=4), "other": smtp_profile(sink.port)},
                        {"window": {"requests": 300}})
    pipeline = lab.pipeline(broker)
    ids = [f"many-{number:04}" for number in range(COUNT)]
    for name in ids:
        pipeline.send(lab.request(name))
    pipeline.send(lab.request("other", profile="other"))
    pipeline.settle(60)
    started = time.monotonic()
    first = lab.tpn(broker, "queue", "cancel", "--profile", "lab", "--limit", "10", "--json")
    check_equal([json.loads(line)["id"] for line in first.stdout.splitlines()], ids[:10], "--limit, oldest first")
    result = lab.tpn(broker, "queue", "cancel", "--prefix", "many-", "--all", "--reason", "wrong list")
    check_equal((result.returncode, result.stdout.splitlines()[-1]), (0, f"{COUNT - 10} done, 0 refused"), "cancel")
    print(f"#   {COUNT} cancelled in {time.monotonic() - started:.2f} s")
    follower = lab.follower(broker)
    lab.worker(broker)
    follower.wait_state("other", "SENT")
    check_equal(sink.count(), 1, "only the other one was sent")
    result = lab.tpn(broker, "queue", "retry", "--state", "CANCELLED", "--all")
    check_equal((result.returncode, result.stdout.splitlines()[-1]), (0, f"{COUNT} done, 0 refused"), "retry")
    publisher = lab.publisher(broker)
    wait_until(lambda: collections.Counter(state_name(lab.pb, r.state) for r in publisher.query(ids)) == {"SENT": COUNT},
               "all to be sent", 60)
    check_equal(sink.count(), COUNT + 1, "mails at the server")
    check_equal(follower.gaps(), [], "gaps in the sequence")


def test_acts_while_they_are_being_sent(lab):
    """Cancel and retry in the middle of the sending, on disk and in memory: every request ends, none is sent twice."""
    sink = lab.sink("--delay-ms", "5")
    broker = lab.broker({"lab": smtp_profile(sink.port, max_connections=4)}, {"window": {"requests": 100}})
    pipeline = lab.pipeline(broker)
    ids = [f"many-{number:04}" for number in range(COUNT)]
    for name in ids:
        pipeline.send(lab.request(name))
    pipeline.settle(60)
    lab.worker(broker, jobs=64)
    wait_until(lambda: sink.count() >= 50, "the sending to begin", every_s=0.01)
    desk = Desk(lab, broker)
    cancelled = set()
    for start in range(0, COUNT, 100):
        got = desk.act(CANCEL, *ids[start:start + 100])
        cancelled |= {r.id for r in got.results if r.done}
        desk.act(RETRY, *ids[start:start + 100:2])
    check(cancelled, "nothing was left to cancel: the test shows nothing")
    again = cancelled & set(ids[::2])
    publisher = lab.publisher(broker)
    wanted = {"SENT": COUNT - len(cancelled - again), "CANCELLED": len(cancelled - again)}
    wait_until(lambda: collections.Counter(state_name(lab.pb, r.state) for r in publisher.query(ids)) ==
               {state: count for state, count in wanted.items() if count}, f"{wanted}", 60)
    check_equal(sink.count(), wanted["SENT"], "mails at the server")
    print(f"#   {len(cancelled)} cancelled in time, {len(again)} of them retried")


def test_a_cancel_that_was_answered_survives_kill_9(lab):
    sink = lab.sink()
    broker = lab.broker({"lab": smtp_profile(sink.port)}, LATE)
    publisher = lab.publisher(broker)
    for number in range(20):
        publisher.submit(lab.request(f"r{number}"))
    got = Desk(lab, broker).act(CANCEL, *(f"r{number}" for number in range(10)))
    broker.kill()
    check_equal([r.done for r in got.results], [True] * 10, "done")
    broker.start()
    follower = lab.follower(broker)
    lab.worker(broker)
    states = lambda: [publisher.state(f"r{number}") for number in range(20)]
    wait_until(lambda: states()[10:] == ["SENT"] * 10, "the others to be sent")
    check_equal(states()[:10], ["CANCELLED"] * 10, "what was cancelled")
    check_equal(sink.count(), 10, "mails at the server")
    check_equal(follower.gaps(), [], "gaps in the sequence")


run(globals())
