"""A server that says that a quota is used up: its profile waits and is probed by one mail every quota_wait, which costs no
attempt and no age; other profiles go on; a restart of the broker changes nothing of that."""
import json

from tpn_harness import check, check_equal, run, smtp_profile, wait_until

RULES = {"of_the_day": {"phase": "mail", "code": "452", "class": "quota"}}  # what the faulty server says to MAIL
QUICK = {"retry": {"delays": ["200ms"], "max_age": "1s"}, "worker": {"beat": "200ms", "liveness": "3s"}}
WAIT_MS = 700
COUNT = 8


def openings(broker):
    return broker.text().count("kind=quota state=open")


def tries(server):
    return sum(line.startswith(b"MAIL") for line in server.commands)


def held(lab, broker):
    stats = json.loads(lab.tpn(broker, "status", "--json").stdout)
    return [(hold["kind"], hold["name"]) for hold in stats.get("holds", [])]


def test_one_mail_a_quota_wait(lab):
    sink = lab.sink()
    server = lab.faultd("mail-452")
    broker = lab.broker({"small": smtp_profile(server.port, quota_wait=f"{WAIT_MS}ms", reply_rules=RULES),
                         "other": smtp_profile(sink.port)}, QUICK)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("r0", profile="small"))
    wait_until(lambda: openings(broker) == 1, "the quota to be told")
    names = [f"r{n}" for n in range(COUNT)]
    for name in names[1:]:
        publisher.submit(lab.request(name, profile="small"))
    publisher.submit(lab.request("free", profile="other"))
    follower.wait_state("free", "SENT")
    wait_until(lambda: openings(broker) >= 3, "two probes")
    check_equal(held(lab, broker), [("QUOTA", "small")], "holds")
    broker.kill()  # in the middle of a wait: the next broker waits, too, and not a moment longer each time or not at all
    broker.start()
    follower.wait_connected()
    wait_until(lambda: openings(broker) >= 6, "three more")
    check(tries(server) <= openings(broker) + 2, f"{tries(server)} mails for {openings(broker)} openings: only probes may go")
    opened = [event.at_ms for name in names for event in publisher.query([name], with_history=True)[0].history
              if event.state == lab.pb.STATE_DEFERRED]
    gaps = sorted(later - earlier for earlier, later in zip(sorted(opened), sorted(opened)[1:]))
    check(gaps[0] >= WAIT_MS - 1, f"{gaps} ms between two refusals: at least {WAIT_MS}")
    server.set_mode("plain")
    for name in names:  # much older than max_age
        check_equal(follower.wait_state(name, "SENT", timeout_s=30).attempt, 1, f"attempts of {name}")
    check_equal(held(lab, broker), [], "holds at the end")


if __name__ == "__main__":
    run(globals())
