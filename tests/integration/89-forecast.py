"""What waits, in the units that limits count, and when it will be gone: the same before and after a restart."""
import json
import time

from tpn_harness import check, check_equal, run, smtp_profile, wait_until

LATE = {"retry": {"delays": ["1h"]}}
COUNTS = ("waiting", "held", "waiting_recipients", "waiting_mails", "settled_in_ten_minutes", "recipients_in_ten_minutes")


def flow(lab, broker, profile):
    found = [one for one in json.loads(lab.tpn(broker, "status", "--json").stdout)["flows"] if one["profile"] == profile]
    return {name: int(found[0].get(name, 0)) for name in (*COUNTS, "empty_at_ms")}


def queue(lab, broker, *words):
    result = lab.tpn(broker, "queue", *words)
    check_equal(result.returncode, 0, f"tpn queue {' '.join(words)}: {result.stdout}{result.stderr}")


def people(count):
    return [f"p{number}@e.test" for number in range(count)]


def away_ms(lab, broker, profile):
    """How long until nothing waits, by the forecast."""
    empty_ms = flow(lab, broker, profile)["empty_at_ms"]
    return empty_ms - time.time() * 1000 if empty_ms else None


def test_the_forecast_counts_what_the_limits_count(lab):
    broker = lab.broker({"minute": smtp_profile(9, max_messages_per_minute=6),
                         "day": smtp_profile(9, max_messages_per_minute=1000, max_recipients_per_day=5),
                         "none": smtp_profile(9)})
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("each", profile="minute", to=people(12), split=lab.pb.SPLIT_ONE_EACH))
    publisher.submit(lab.request("list", profile="day", to=people(12)))
    publisher.submit(lab.request("other", profile="none"))
    days_ms = 86400000.0
    rows = (("minute", 120000.0, "twelve mails, six a minute"), ("day", 2 * days_ms, "seven more than today's five"))
    for profile, wanted_ms, what in rows:
        ahead_ms = away_ms(lab, broker, profile)
        check(wanted_ms - 60000 < ahead_ms <= wanted_ms + 1000, f"{what}: {ahead_ms} instead of {wanted_ms} ms")
    check_equal(away_ms(lab, broker, "none"), None, "no rate and no limit")
    check("minute: 1 waiting (12 mails to 12 recipients), 0 of 6 mails in a minute, empty about" in lab.tpn(broker, "status").stdout,
          "tpn status tells it")
    # Held is not expected to leave; a pause without an end ends nothing, one with an end puts it off.
    queue(lab, broker, "hold", "each")
    check_equal(away_ms(lab, broker, "minute"), None, "all of it is held")
    check("minute: 1 waiting, 1 of them held" in lab.tpn(broker, "status").stdout, "tpn status tells of the hold")
    queue(lab, broker, "release", "each")
    queue(lab, broker, "pause", "--profile", "minute")
    check_equal(away_ms(lab, broker, "minute"), None, "paused for ever")
    queue(lab, broker, "pause", "--profile", "minute", "--for", "1h")
    check(3600000 < away_ms(lab, broker, "minute") <= 3600000 + 121000, "paused for an hour")


def test_a_restart_changes_no_figure(lab):
    server = lab.faultd()
    broker = lab.broker({"lab": smtp_profile(server.port), "old": smtp_profile(server.port)}, LATE)
    worker = lab.worker(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("mixed", to=["ann@e.test", "grey1@e.test", "no1@e.test"]))
    publisher.submit(lab.request("gone"))
    wait_until(lambda: (publisher.state("mixed"), publisher.state("gone")) == ("DEFERRED", "SENT"), "the first attempts")
    worker.stop()
    for name, fields in (("plain", {}), ("each", {"to": people(5), "split": lab.pb.SPLIT_ONE_EACH}), ("list", {"to": people(4)}),
                         ("held", {"to": people(2)}), ("both", {"to": people(3), "split": lab.pb.SPLIT_ONE_EACH}),
                         ("free", {}), ("stopped", {}), ("old-alert", {"supersede_key": "k"}), ("new-alert", {"supersede_key": "k"}),
                         ("later", {"not_before_ms": int(time.time() * 1000) + 3600000}),
                         ("edited", {"profile": "old", "to": people(6), "split": lab.pb.SPLIT_ONE_EACH})):
        publisher.submit(lab.request(name, **fields))
    queue(lab, broker, "hold", "held", "both", "free", "stopped")
    queue(lab, broker, "release", "free")
    queue(lab, broker, "cancel", "stopped")
    queue(lab, broker, "edit", "edited", "--to-profile", "lab")
    queue(lab, broker, "edit", "both", "--recipient", "p1@e.test=new@e.test")
    before = flow(lab, broker, "lab")
    # mixed, plain, each, list, free, new-alert, later, edited; held and both. Decided: ann and no1, gone, stopped, old-alert.
    check_equal({name: before[name] for name in COUNTS},
                {"waiting": 10, "held": 2, "waiting_recipients": 1 + 1 + 5 + 4 + 1 + 1 + 1 + 6, "waiting_mails": 6 + 11,
                 "settled_in_ten_minutes": 3, "recipients_in_ten_minutes": 5}, "before the restart")
    check_equal(flow(lab, broker, "old")["waiting"], 0, "of the profile that the edit left")
    for end in (broker.stop, broker.kill):
        end()
        broker.start()
        after = flow(lab, broker, "lab")
        check_equal({name: after[name] for name in COUNTS}, {name: before[name] for name in COUNTS}, "after the restart")
        check(abs(after["empty_at_ms"] - before["empty_at_ms"]) < 60000, f"the forecast: {before} {after}")
    lab.worker(broker)
    queue(lab, broker, "release", "held", "both")
    publisher = lab.publisher(broker)
    wait_until(lambda: [publisher.state(name) for name in ("plain", "each", "list", "held", "both", "free", "new-alert", "edited")]
               == ["SENT"] * 8, "what waited")
    end = flow(lab, broker, "lab")
    check_equal((end["waiting"], end["held"], end["waiting_recipients"], end["waiting_mails"]), (2, 0, 2, 2), "mixed and later")


run(globals())
