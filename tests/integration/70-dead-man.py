"""Traffic that must come by a time of the day: silence is told once, over restarts and moved clocks, and so is its end."""
import contextlib
import datetime
import json
import signal
import subprocess
import time
import zoneinfo

import tpn_wire
from tpn_clock import Clock
from tpn_harness import Broker, check, check_equal, run, smtp_profile, wait_until

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
QUICK = {"retry": {"delays": ["1s"]}, "worker": {"beat": "100ms", "liveness": "3s"}}
BY_NINE = {"by": "09:00", "time_zone": "Europe/Berlin"}


def at(day, hour, minute, second=0):
    """In the week of Monday, 1 March 2027: 3 is a Wednesday, 6 a Saturday."""
    return datetime.datetime(2027, 3, day, hour, minute, second, tzinfo=BERLIN)


def start(lab, clock, expectations, profiles=None):
    """A broker with a clock of its own."""
    broker = lab.add(Broker(lab, profiles or {"lab": smtp_profile(9)}, QUICK))
    broker.write_profiles(profiles or {"lab": smtp_profile(9)}, expectations=expectations)
    broker.env.update(clock.environment())
    return broker.start()


def watches(follower, name=None):
    """(kind, name) of the events that are of no request."""
    kinds = follower.pb.WatchKind.Name
    return [(kinds(event.watch.kind).removeprefix("WATCH_KIND_"), event.watch.name) for _, event in follower.events
            if event.HasField("watch") and name in (None, event.watch.name)]


def replayed(lab, broker):
    """Every event of no request that the history has."""
    with contextlib.closing(tpn_wire.Publisher(lab.pb, broker.endpoints["admin"])) as link:
        reply = lab.pb.Replayed.FromString(
            link.exchange([b"TPN1.REPLAY", lab.pb.Replay(limit=1000).SerializeToString()])[1])
    return [event for event in reply.events if event.HasField("watch")]


def lines(lab, broker):
    stats = json.loads(lab.tpn(broker, "status", "--json").stdout)
    return {line["name"]: line for line in stats["watches"]}


def reached(lab, broker, when, names):
    """Every watch has looked at the deadline before that time: the next one is behind it."""
    def passed():
        return all(lines(lab, broker)[name]["deadline_ms"] > when.timestamp() * 1000 for name in names)
    wait_until(passed, f"the deadline before {when}")


def test_silence_is_told_and_so_is_its_end(lab):
    clock = Clock(lab, "broker")
    clock.set(at(3, 8, 59, 30))
    sink = lab.sink()
    broker = start(lab, clock, {
        "any": BY_NINE | {"count": "accepted"},
        "two": BY_NINE | {"label": "kind=alert", "at_least": 2},
        "sunday": BY_NINE | {"days": ["sun"]},
        "later": BY_NINE | {"by": "09:30"},
    }, {"lab": smtp_profile(sink.port)})
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    request = lab.request("first")
    request.labels.add(name="kind", value="alert")
    publisher.submit(request)
    follower.wait_state("first", "SENT")
    clock.set(at(3, 9, 0, 1))
    follower.wait_for(lambda seen: watches(seen), "an event of no request")
    reached(lab, broker, at(3, 9, 0), ["any", "two"])
    check_equal(watches(follower), [("SILENT", "two")], "two were expected, one came")
    topic, event = next((topic, event) for topic, event in follower.events if event.HasField("watch"))
    check_equal(topic, "tpn1.tpn-broker.SILENT.two", "topic")
    check_equal((event.request_id, event.state, event.producer), ("", 0, "tpn-broker"), "of no request")
    check_equal(event.reason, "expected at least 2 delivered from 2027-03-02T23:00:00.000Z to "
                "2027-03-03T08:00:00.000Z: 1 came; 1 accepted", "words")
    check_equal((event.watch.seen, event.watch.accepted, event.watch.label), (1, 1, "kind=alert"), "numbers")
    check("result=silent" in broker.text() and "name=two" in broker.text(), "the log has a line")
    check("expected two: SILENT since 2027-03-03T08:00:00.000Z, 1 of 2 delivered; next deadline 2027-03-04T08:00"
          in lab.tpn(broker, "status").stdout, "tpn status shows it")
    check_equal(lines(lab, broker)["any"]["silent_since_ms"], 0, "one is enough for any")
    request.id = "second"
    publisher.submit(request)
    follower.wait_for(lambda seen: ("RECOVERED", "two") in watches(seen), "the end of the silence")
    check_equal(lines(lab, broker)["two"]["silent_since_ms"], 0, "it is over")
    check_equal(follower.gaps(), [], "gaps")
    told = replayed(lab, broker)
    check_equal([(event.epoch, event.sequence, event.watch.kind) for event in told],
                [(event.epoch, event.sequence, event.watch.kind) for _, event in follower.events
                 if event.HasField("watch")], "the history has them, with the same numbers")
    sheet = lab.tpn(broker, "evidence", "export", "--format", "csv").stdout
    for word in ("SILENT", "RECOVERED"):
        check(f'"tpn-broker","two","{word}",' in sheet, f"evidence: {sheet}")
    check_equal(lab.tpn(broker, "evidence", "verify").returncode, 0, "the chain")
    check_equal(broker.stop(), 0, "exit status")
    check(broker.text().count("store.retention") == 0, "they are all kept long enough")
    result = subprocess.run([broker.argv[0], "--check-store", "--data", broker.data], capture_output=True, text=True,
                            check=False)
    check_equal(result.returncode, 0, f"--check-store: {result.stdout}{result.stderr}")


def test_a_deadline_is_looked_at_once(lab):
    """Down at nine, started again and again, killed, the clock set back: one event for each deadline."""
    clock = Clock(lab, "broker")
    clock.set(at(3, 8, 50))
    names = ["quiet"]
    broker = start(lab, clock, {"quiet": BY_NINE})
    wait_until(lambda: lines(lab, broker), "the watch")
    broker.kill()
    clock.set(at(3, 9, 20))
    broker.start()
    reached(lab, broker, at(3, 9, 0), names)
    check_equal(len(replayed(lab, broker)), 1, "down at nine: told at the start")
    broker.kill()
    broker.start()
    reached(lab, broker, at(3, 9, 0), names)
    clock.set(at(3, 8, 59, 59))
    clock.set(at(3, 9, 10))
    broker.kill()
    clock.set(at(3, 8, 59, 58))
    broker.start()
    clock.set(at(3, 9, 40))
    reached(lab, broker, at(3, 9, 40), names)
    check_equal(len(replayed(lab, broker)), 1, "nine o'clock twice: told once")
    clock.set(at(4, 9, 0, 1))
    reached(lab, broker, at(4, 9, 0), names)
    check_equal(len(replayed(lab, broker)), 2, "the next working day is a deadline of its own")
    broker.kill()
    clock.set(at(7, 12, 0))
    broker.start()
    reached(lab, broker, at(5, 9, 0), names)
    told = replayed(lab, broker)
    check_equal(len(told), 3, "down from Thursday to Sunday: the newest deadline only")
    check_equal(told[-1].watch.deadline_ms, int(at(5, 9, 0).timestamp() * 1000), "that of Friday")
    check_equal(told[-1].watch.silent_since_ms, int(at(3, 9, 0).timestamp() * 1000), "silent since Wednesday")


def test_a_kill_around_the_deadline_neither_loses_nor_repeats_it(lab):
    clock = Clock(lab, "broker")
    clock.set(at(1, 12, 0))
    broker = start(lab, clock, {"quiet": BY_NINE})
    wait_until(lambda: lines(lab, broker), "the watch")
    for day, lag_s in ((2, 0.06), (3, 0.12), (4, 0.18)):
        broker.kill()
        clock.set(at(day, 9, 0) - datetime.timedelta(seconds=0.1))
        broker.start()
        time.sleep(lag_s)  # before, in and after the heartbeat that looks at it: each must be right
        broker.kill()
        broker.start()
        reached(lab, broker, at(day, 9, 0), ["quiet"])
    check_equal([event.watch.deadline_ms for event in replayed(lab, broker)],
                [int(at(day, 9, 0).timestamp() * 1000) for day in (2, 3, 4)], "one event for each day")


def test_what_came_before_the_broker_went_down_counts(lab):
    """Accepted at 08:58, killed over the deadline: no event. A deadline that nobody was told of is not made up afterwards."""
    clock = Clock(lab, "broker")
    clock.set(at(3, 8, 58))
    expected = {"came": BY_NINE | {"count": "accepted", "profile": "lab", "producer": "local"},
                "since": BY_NINE | {"count": "accepted", "since": "08:59"}}
    broker = start(lab, clock, expected)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("early"))
    broker.kill()
    clock.set(at(3, 9, 20))
    broker.write_profiles({"lab": smtp_profile(9)}, expectations=expected | {"new": BY_NINE})
    broker.start()
    reached(lab, broker, at(3, 9, 0), ["came", "since", "new"])
    told = replayed(lab, broker)
    check_equal([event.watch.name for event in told], ["since"], "counted from 08:59 on, it came too early")
    broker.write_profiles({"lab": smtp_profile(9)}, expectations={"came": expected["came"]})
    broker.child.send_signal(signal.SIGHUP)
    wait_until(lambda: list(lines(lab, broker)) == ["came"], "the new list")
    told = replayed(lab, broker)
    check_equal([lab.pb.WatchKind.Name(event.watch.kind) for event in told],
                ["WATCH_KIND_SILENT", "WATCH_KIND_DROPPED"], "what is silent is not forgotten without a word")
    broker.kill()
    broker.start()
    wait_until(lambda: list(lines(lab, broker)) == ["came"], "the same list")
    check_equal(len(replayed(lab, broker)), 2, "and it is forgotten")


if __name__ == "__main__":
    run(globals())
