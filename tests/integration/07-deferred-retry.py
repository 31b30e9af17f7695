"""A server that is down, or asks for patience: DEFERRED, back at the told time, and only who is still missing."""
import time

from tpn_harness import check, check_equal, free_port, parse_mail, run, smtp_profile, wait_until
from tpn_wire import outcome_name, state_name

QUICK = {"retry": {"delays": ["1s", "2s"]}}


def test_server_down_and_up_again(lab):
    sink = lab.sink()
    sink.stop()
    broker = lab.broker({"lab": smtp_profile(sink.port)}, QUICK)
    lab.worker(broker)
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("down"))
    event = follower.wait_state("down", "DEFERRED")
    delay_ms = event.next_attempt_ms - event.at_ms
    check(800 - 50 <= delay_ms <= 1200 + 50, f"first retry after {delay_ms} ms, wanted 1 s ± 20 %")
    check_equal(event.recipients[0].smtp_code, 0, "no reply, no code")
    sink.start()
    sent = follower.wait_state("down", "SENT", timeout_s=20)
    check_equal(sent.attempt, 1, "attempts: a server that is down costs none")
    again = [e for e in follower.of("down") if e.state == lab.pb.STATE_LEASED][1]
    check(again.at_ms >= event.next_attempt_ms, "came back before its time")
    check_equal(sink.count(), 1, "mails at the server")


def test_retry_survives_a_restart(lab):
    port = free_port()
    broker = lab.broker({"lab": smtp_profile(port)}, QUICK)
    lab.worker(broker)
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("kept"))
    follower.wait_state("kept", "DEFERRED")
    broker.kill()
    sink = lab.sink("--port", str(port))
    broker.start()
    follower.wait_state("kept", "SENT", timeout_s=20)
    check_equal(sink.count(), 1, "mails at the server")


def test_only_the_deferred_recipient_is_tried_again(lab):
    server = lab.faultd()
    broker = lab.broker({"lab": smtp_profile(server.port)}, QUICK)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("grey", to=["ann@e.test", "grey1@e.test"]))
    first = follower.wait_state("grey", "DEFERRED")
    check_equal({r.address: outcome_name(lab.pb, r.outcome) for r in first.recipients},
                {"ann@e.test": "DELIVERED", "grey1@e.test": "DEFERRED"}, "first attempt")
    server.set_mode("all-welcome")
    follower.wait_state("grey", "SENT", timeout_s=20)
    check_equal({r.address: outcome_name(lab.pb, r.outcome) for r in publisher.query(["grey"])[0].recipients},
                {"ann@e.test": "DELIVERED", "grey1@e.test": "DELIVERED"}, "at the end")
    check_equal([people for _, people in server.accepted], [["ann@e.test"], ["grey1@e.test"]], "envelopes")
    ids = {parse_mail(content)["Message-ID"] for content, _ in server.accepted}
    check_equal(len(ids), 1, "Message-IDs of the attempts")


def test_expires_while_it_waits(lab):
    broker = lab.broker({"lab": smtp_profile(free_port())}, QUICK)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    end_ms = int(time.time() * 1000) + 3000
    publisher.submit(lab.request("gone", expire_at_ms=end_ms))
    follower.wait_state("gone", "EXPIRED", timeout_s=20)
    check("DEFERRED" in follower.states("gone"), f"states: {follower.states('gone')}")
    wait_until(lambda: publisher.state("gone") == "EXPIRED", "the query to say so")


def test_one_dead_server_does_not_hold_up_the_others(lab):
    sink = lab.sink()
    dead = lab.faultd("greet-never")
    broker = lab.broker({"dead": smtp_profile(dead.port, connect_timeout="8s"),
                         "lab": smtp_profile(sink.port)}, QUICK)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    for number in range(40):
        publisher.submit(lab.request(f"dead-{number}", profile="dead"))
    started = time.monotonic()
    publisher.submit(lab.request("alive"))
    follower.wait_state("alive", "SENT", timeout_s=10)
    print(f"#   sent after {time.monotonic() - started:.2f} s, 40 waiting for the dead server")
    check_equal(state_name(lab.pb, follower.of("alive")[-1].state), "SENT", "state")


run(globals())
