"""Silence without a deadline, who reads the events, and what an expectation or a canary may say."""
import signal
import subprocess

from tpn_harness import Process, check, check_equal, find_program, run, smtp_profile, wait_until, write_yaml

QUICK = {"retry": {"delays": ["1s"]}, "worker": {"beat": "100ms", "liveness": "3s"}}
LAB = {"smtp_server": "127.0.0.1", "smtp_port": 25}


def told(follower):
    return [(follower.pb.WatchKind.Name(event.watch.kind).removeprefix("WATCH_KIND_"), event.watch.name)
            for _, event in follower.events if event.HasField("watch")]


def test_silence_of_a_second_is_told_to_everybody_who_reads(lab):
    broker = lab.broker({"lab": smtp_profile(9)}, QUICK | {"store": {"retention": "1h"}})
    follower = lab.follower(broker)
    own = lab.follower(broker, "tpn1.local.")
    readers = [lab.add(Process(lab, name, [find_program(program), *words])).start()
               for name, program, words in (
                   ("monitor", "tpn-monitor", ["--follow", "--status", broker.endpoints["status"]]),
                   ("json", "tpn-monitor", ["--follow", "--json", "--status", broker.endpoints["status"]]),
                   ("follow", "tpn", ["status", "-f", "--status", broker.endpoints["status"], "--submit",
                                      broker.endpoints["submit"]]))]
    publisher = lab.publisher(broker)

    def heard():
        heard.count += 1
        publisher.submit(lab.request(f"probe-{heard.count}"))
        return all("probe-" in reader.text() for reader in readers)
    heard.count = 0
    wait_until(heard, "the readers to hear")
    broker.write_profiles({"lab": smtp_profile(9)}, expectations={
        "steady": {"every": "1s", "count": "accepted", "days": ["daily"], "producer": "local"},
        "long": {"by": "09:00"}})
    broker.child.send_signal(signal.SIGHUP)
    follower.wait_for(lambda seen: told(seen) == [("SILENT", "steady")], "silence")
    publisher.submit(lab.request("word"))
    follower.wait_for(lambda seen: told(seen)[:2] == [("SILENT", "steady"), ("RECOVERED", "steady")], "its end")
    for reader, words in zip(readers, ("SILENT expectation=steady producer=local reason=\"expected at least 1 accepted",
                                       '"name":"steady","kind":"SILENT"', "RECOVERED expectation=steady"), strict=True):
        wait_until(lambda reader=reader, words=words: words in reader.text(), f"{reader.name} to tell {words}")
        check(reader.alive(), f"{reader.name} goes on")
    check('name=long text="counts over a longer time than store.retention' in broker.text() and
          "name=steady text=" not in broker.text(), "a window that is longer than requests are kept")
    check_equal(follower.gaps(), [], "gaps")
    own.pump(200)
    check_equal(told(own), [], "it is no topic of a producer")


ROWS = [  # expectations, canary, what the error says
    ({"x": {}}, {}, "expectations.x.by: either by or every is needed"),
    ({"x": {"by": "09:00", "every": "2h"}}, {}, "expectations.x.by: either by or every is needed"),
    ({"x": {"by": "9:00"}}, {}, "expectations.x.by: must be a time of the day, as 09:00"),
    ({"x": {"by": "25:00"}}, {}, "expectations.x.by: must be a time of the day, as 09:00"),
    ({"x": {"by": "09:00", "days": ["monday"]}}, {}, "expectations.x.days: must be days, as mon, mon-fri or daily"),
    ({"x": {"by": "09:00", "time_zone": "Europe/Berln"}}, {},
     "expectations.x.time_zone: no time zone of that name, as Europe/Berlin or UTC"),
    ({"x": {"by": "09:00", "hours": "07:00-18:00"}}, {}, "expectations.x.hours: goes with every, not with by"),
    ({"x": {"every": "2h", "since": "06:00"}}, {}, "expectations.x.since: goes with by, not with every"),
    ({"x": {"by": "09:00", "since": "yesterday"}}, {}, "expectations.x.since: "),
    ({"x": {"every": "12h", "hours": "07:00-18:00"}}, {},
     "expectations.x.every: is longer than the hours and days in which it counts"),
    ({"x": {"every": "1ms"}}, {}, "expectations.x.every: at least 1s"),
    ({"x": {"by": "09:00", "label": "asset"}}, {}, "expectations.x.label: must be NAME=VALUE"),
    ({"x": {"by": "09:00", "count": "sent"}}, {}, "expectations.x.count: "),
    ({"x": {"by": "09:00", "at_least": 0}}, {}, "expectations.x.at_least: "),
    ({"x": {"by": "09:00", "profile": "nobody"}}, {}, 'x: profile: no profile "nobody"'),
    ({"x": {"by": "09:00", "untill": 1}}, {}, "expectations.x.untill: unknown key"),
    ({"a/b": {"by": "09:00"}}, {}, "a name is 1 to 64 of"),
    ({}, {"at": "06:30"}, "canary.to: required with canary.at and canary.every"),
    ({}, {"to": "nobody"}, "canary.to: "),
    ({}, {"to": "a@example.test"}, "canary.at: either canary.at or canary.every is needed"),
    ({}, {"to": "a@example.test", "at": "6:30"}, "canary.at: must be a time of the day, as 09:00"),
    ({}, {"to": "a@example.test", "at": "06:30", "from": "x"}, "canary.from: "),
    ({}, {"to": "a@example.test", "at": "23:30"}, "canary.at: lies in the quiet hours"),
    ({}, {"to": "a@example.test", "every": "1h", "deadline": "13h"}, "canary.deadline: "),
]


def test_a_mistake_names_key_and_rule(lab):
    path = lab.dir / "profiles.yaml"
    for expectations, canary, words in ROWS:
        write_yaml(path, {"profiles": {"lab": LAB | {"quiet_hours": ["22:00-06:00"]} | (
            {"canary": canary} if canary else {})}, "expectations": expectations})
        result = subprocess.run([find_program("tpn-broker"), "--check-config", "--profiles", path], check=False,
                                capture_output=True, text=True)
        check_equal(result.returncode, 2, f"{expectations} {canary}")
        check(words in result.stderr, f"{words!r} is not in {result.stderr!r}")
    write_yaml(lab.dir / "allow.yaml", {"access": {"tpn-broker": {
        "role": "producer", "keys": ["IjoK!M3ZuYO&9E)<JuS6Z2vY?p&WAu5?PgskmiG^"]}}})
    write_yaml(lab.dir / "broker.yaml", {"plain_producer": "tpn-broker"})
    for words, argv in (("plain_producer: is the broker's own name", ["--config", lab.dir / "broker.yaml"]),
                        ("access.tpn-broker: is the broker's own name", ["--allow", lab.dir / "allow.yaml"])):
        result = subprocess.run([find_program("tpn-broker"), "--check-config", *argv], check=False, capture_output=True,
                                text=True)
        check_equal(result.returncode, 2, words)
        check(words in result.stderr, f"{words!r} is not in {result.stderr!r}")


if __name__ == "__main__":
    run(globals())
