"""What keeps a request that waits: told by tpn explain and tpn queue show, in words. And what else a person on duty reads."""
import signal
import time

from tpn_harness import check, check_equal, free_port, run, smtp_profile, wait_until

CONFIG = {"retry": {"delays": ["1h"]}, "worker": {"beat": "200ms", "liveness": "3s"}}


def waits(lab, broker, request_id):
    """What tpn explain says of it; None = nothing. tpn queue show says the same."""
    said = []
    for command in (("explain", request_id), ("queue", "show", request_id)):
        lines = [line for line in lab.tpn(broker, *command).stdout.splitlines() if line.startswith("  waits: ")]
        check(len(lines) <= 1, f"{command}: {lines}")
        said.append(lines[0][len("  waits: "):].strip('"') if lines else None)
    check_equal(said[0], said[1], "explain and show")
    return said[0]


def check_waits(lab, broker, request_id, words):
    said = waits(lab, broker, request_id)
    check(said is not None and said.startswith(words), f"{request_id}: {said!r} instead of {words!r}")


def queue(lab, broker, *words):
    result = lab.tpn(broker, "queue", *words)
    check_equal(result.returncode, 0, f"tpn queue {' '.join(words)}: {result.stdout}{result.stderr}")


def test_each_thing_that_holds_a_request_up_is_named(lab):
    server = lab.faultd()
    profiles = {"lab": smtp_profile(server.port),
                "quiet": smtp_profile(server.port, quiet_hours=["00:00-12:00", "12:00-24:00"]),
                "down": smtp_profile(free_port(), breaker_failures=1, breaker_wait="1h"),
                "minute": smtp_profile(server.port, max_messages_per_minute=1),
                "gone": smtp_profile(server.port)}
    broker = lab.broker(profiles, CONFIG)
    publisher = lab.publisher(broker)
    later = int(time.time() * 1000) + 3600000
    publisher.submit(lab.request("nobody"))
    check_waits(lab, broker, "nobody", "no worker is connected")
    lab.worker(broker)
    wait_until(lambda: publisher.state("nobody") == "SENT", "the first mail")
    check_equal(waits(lab, broker, "nobody"), None, "of what was sent")
    publisher.submit(lab.request("later", not_before_ms=later))
    check_waits(lab, broker, "later", "it is not to go until ")
    publisher.submit(lab.request("again", to=["grey1@e.test"]))
    wait_until(lambda: publisher.state("again") == "DEFERRED", "the first attempt")
    check_waits(lab, broker, "again", "its next attempt is not due until ")
    publisher.submit(lab.request("quiet", profile="quiet"))
    check_waits(lab, broker, "quiet", "its profile has quiet hours until ")
    publisher.submit(lab.request("first", profile="minute"))
    wait_until(lambda: publisher.state("first") == "SENT", "the one mail a minute")
    publisher.submit(lab.request("second", profile="minute"))
    check_waits(lab, broker, "second", "max_messages_per_minute of its profile is used up until ")
    publisher.submit(lab.request("down", profile="down", expire_at_ms=later))
    wait_until(lambda: publisher.query(["down"], with_history=True)[0].history[-1].reason != "", "the breaker")
    publisher.submit(lab.request("behind", profile="down"))
    wait_until(lambda: waits(lab, broker, "behind") is not None, "the breaker's words")
    check_waits(lab, broker, "behind", "the server of its profile is down until ")
    for words, told in ((("--profile", "lab", "--for", "1h"), "a pause holds profile lab until "),
                        (("--domain", "example.test"), "a pause holds mail to example.test"),
                        (("--producer", "local"), "a pause holds producer local"), (("--all",), "a pause holds all mail")):
        queue(lab, broker, "pause", *words, "--reason", "not for producers")
        name = f"paused-{words[0].strip('-')}"
        publisher.submit(lab.request(name))
        check_waits(lab, broker, name, told)
        check("not for producers" not in waits(lab, broker, name), "an operator's reason")
        if words[0] == "--profile":
            queue(lab, broker, "hold", name)
            check_waits(lab, broker, name, "an operator holds it until it is released")
        queue(lab, broker, "resume", *words[:2] if words[0] != "--all" else words)
    queue(lab, broker, "pause", "--profile", "gone")
    publisher.submit(lab.request("gone", profile="gone"))
    del profiles["gone"]
    broker.write_profiles(profiles)
    broker.child.send_signal(signal.SIGHUP)
    queue(lab, broker, "resume", "--profile", "gone")
    wait_until(lambda: waits(lab, broker, "gone") == "its profile is not in the file any more", "the words of the removed profile")


def test_the_time_line_tells_of_another_profile_and_ends_once(lab):
    server = lab.faultd()
    broker = lab.broker({"lab": smtp_profile(server.port), "other": smtp_profile(server.port)}, CONFIG)
    publisher = lab.publisher(broker)
    lab.worker(broker)
    publisher.submit(lab.request("typo", to=["no1@e.test"]))
    wait_until(lambda: publisher.state("typo") == "FAILED", "the refusal")
    queue(lab, broker, "edit", "typo", "--to-profile", "other")
    lines = lab.tpn(broker, "explain", "typo").stdout.splitlines()
    check_equal([', profile "other"' in line for line in lines if "edited by" in line], [True], "the new profile")
    check_equal(len([line for line in lines if ", in all " in line]), 1, f"ends: {lines}")


def test_wrong_words_are_answered_with_the_right_ones(lab):
    broker = lab.broker({"lab": smtp_profile(9)}, CONFIG)
    rows = ((2, ("queue", "ls", "--state", "BOGUS"), "one of ACCEPTED, LEASED"),
            (2, ("queue", "top", "--by", "x"), "--by x: profile, producer or domain"), (2, ("queue", "top", "y"), "y: takes no arguments"),
            (2, ("evidence", "bogus"), 'no verb "bogus"'), (2, ("evidence", "days", "x"), "x: takes no arguments"),
            (2, ("evidence", "export", "--format", "xml"), "--format xml: json or csv"),
            (2, ("evidence", "export", "--from", "2026-11-25", "--to", "2026-11-20"), "--from 2026-11-25 is behind --to 2026-11-20"),
            (2, ("evidence", "verify", "--head", "bogus"), "--head bogus: write DAY=HEX"),
            (1, ("evidence", "verify", "--head", "2001-01-01=00"), "--head 2001-01-01=00: that day is not in it"),
            (3, ("queue", "show", "nobody"), "nobody not known: it never came, or was forgotten"),
            (0, ("queue", "top"), "minutes ago, less than"), (0, ("queue", "drain"), "until tpn queue drain --end"),
            (0, ("status",), "tpn queue drain --end ends it"), (0, ("queue", "drain", "--end"), "the broker accepts requests"))
    for code, words, said in rows:
        result = lab.tpn(broker, *words)
        check_equal(result.returncode, code, f"tpn {' '.join(words)}: {result.stdout}{result.stderr}")
        check(said in result.stdout + result.stderr, f"tpn {' '.join(words)}: {result.stdout}{result.stderr}")


run(globals())
