"""Canaries: one mail for each point of the timetable, with a life like any other; one that does not arrive is told."""
import datetime
import zoneinfo

from tpn_clock import Clock
from tpn_harness import Broker, check, check_equal, run, smtp_profile

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
QUICK = {"retry": {"delays": ["1s"]}, "worker": {"beat": "100ms", "liveness": "3s"}}
CANARY = {"to": "canary@example.test", "at": "06:30", "deadline": "10min"}
FIRST = "canary-lab-20270303T053000Z"


def at(day, hour, minute, second=0):
    """In the week of Monday, 1 March 2027: 3 is a Wednesday."""
    return datetime.datetime(2027, 3, day, hour, minute, second, tzinfo=BERLIN)


def start(lab, clock, port, canary=None, **more):
    broker = lab.add(Broker(lab, {"lab": smtp_profile(port, time_zone="Europe/Berlin", canary=canary or CANARY, **more)},
                            QUICK))
    broker.env.update(clock.environment())
    return broker.start()


def told(follower):
    return [(follower.pb.WatchKind.Name(event.watch.kind), event.watch.name, event.reason)
            for _, event in follower.events if event.HasField("watch")]


def ids(lab, broker):
    return [line.split()[0] for line in lab.tpn(broker, "queue", "ls", "--producer", "tpn-broker").stdout.splitlines()
            if not line.startswith(" ")]


def test_a_canary_is_an_ordinary_mail_and_goes_once(lab):
    clock = Clock(lab, "broker")
    clock.set(at(3, 6, 29, 59))
    sink = lab.sink()
    broker = start(lab, clock, sink.port)
    lab.worker(broker)
    follower = lab.follower(broker)
    follower.wait_state(FIRST, "SENT")
    check_equal(follower.of(FIRST)[0].labels[:], ["canary=lab"], "label")
    check_equal(follower.states(FIRST), ["ACCEPTED", "LEASED", "PERMITTED", "SENT"], "its life")
    story = lab.tpn(broker, "queue", "show", FIRST).stdout
    check('from "tpn-broker"' in story and "Canary of the mail profile lab" in story, f"explained: {story}")
    for again in (at(3, 6, 31), at(3, 6, 29, 59), at(3, 6, 35)):
        broker.kill()
        clock.set(again)
        broker.start()
        follower.wait_connected()
        follower.pump(150)
    check_equal(ids(lab, broker), [FIRST], "three restarts, once with the clock set back: one canary")
    check_equal(sink.count(), 1, "mails")
    clock.set(at(3, 6, 40, 1))
    second = FIRST.replace("0303", "0304")
    clock.set(at(4, 6, 30))
    follower.wait_state(second, "SENT")
    check_equal(told(follower), [], "nothing is silent")
    # Nothing that is expected of others is met by it, and nobody else may have its name.
    refused = lab.tpn(broker, "status", FIRST)
    check("not known" in refused.stdout, "it is no request of the plain producer")


def test_a_canary_that_does_not_arrive_is_told(lab):
    clock = Clock(lab, "broker")
    clock.set(at(3, 6, 29, 59))
    broker = start(lab, clock, 9)  # and no worker
    follower = lab.follower(broker)
    follower.wait_state(FIRST, "ACCEPTED")
    clock.set(at(3, 6, 40, 1))
    follower.wait_for(lambda seen: told(seen), "silence")
    check_equal(told(follower), [(
        "WATCH_KIND_SILENT", "canary:lab", "the canary of profile lab, due 2027-03-03T05:30:00.000Z, was not delivered "
        "by 2027-03-03T05:40:00.000Z; it is ACCEPTED")], "words")
    check("name=canary:lab result=silent" in broker.text(), "log")
    broker.kill()
    clock.set(at(4, 6, 50))
    broker.start()
    follower.wait_connected()
    follower.wait_for(lambda seen: len(told(seen)) == 2, "the next one")
    check("it was not sent: did the broker run?" in told(follower)[1][2], f"words: {told(follower)[1]}")
    check_equal(ids(lab, broker), [FIRST], "none is sent after its time")


def test_a_drained_broker_sends_none_and_misses_none(lab):
    clock = Clock(lab, "broker")
    clock.set(at(3, 6, 29))
    sink = lab.sink()
    broker = start(lab, clock, sink.port)
    lab.worker(broker)
    follower = lab.follower(broker)
    check_equal(lab.tpn(broker, "queue", "drain").returncode, 0, "drain")
    clock.set(at(3, 6, 30, 1))
    follower.pump(300)
    clock.set(at(3, 6, 41))
    follower.pump(300)
    check_equal(lab.tpn(broker, "queue", "drain", "--end").returncode, 0, "end of the drain")
    clock.set(at(4, 6, 30))
    second = FIRST.replace("0303", "0304")
    follower.wait_state(second, "SENT")
    check_equal(ids(lab, broker), [second], "the one of the drained morning is left out")
    check_equal(told(follower), [], "and not missed")


if __name__ == "__main__":
    run(globals())
