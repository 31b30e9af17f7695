"""max_connections holds for the whole pool: workers come, go and are killed, and the server never sees more."""
import json

from tpn_harness import check, check_equal, run, smtp_profile, wait_until

QUICK = {"worker": {"beat": "100ms", "liveness": "3s"}, "lease": {"time": "20s", "grace": "1s"},
         "retry": {"delays": ["1s"]}}
MOST = 6


def flow(lab, broker):
    return json.loads(lab.tpn(broker, "status", "--json").stdout)["flows"][0]


def feed(lab, broker, count, first=0):
    pipeline = lab.pipeline(broker)
    for number in range(first, first + count):
        pipeline.send(lab.request(f"r{number}", to=[f"p{number}@example.test"]))
    pipeline.settle(30)


def test_workers_share_and_the_server_never_sees_more(lab):
    server = lab.faultd("drip")
    broker = lab.broker({"lab": smtp_profile(server.port, max_connections=MOST)}, QUICK)
    publisher = lab.publisher(broker)
    first = lab.worker(broker, "w1", jobs=20, config={"beat": "100ms"})
    feed(lab, broker, 120)
    wait_until(lambda: server.open == MOST, "the first worker to use them all")
    second = lab.worker(broker, "w2", jobs=20, config={"beat": "100ms"})
    third = lab.worker(broker, "w3", jobs=20, config={"beat": "100ms"})
    wait_until(lambda: all(w["leased"] for w in json.loads(lab.tpn(broker, "status", "--json").stdout)["workers"]),
               "all three to work")
    check_equal(int(flow(lab, broker)["max_connections"]), MOST, "as told")
    first.kill()
    feed(lab, broker, 60, 120)
    lab.worker(broker, "w4", jobs=20, config={"beat": "100ms"})
    check_equal(second.stop(), 0, "exit status")
    wait_until(lambda: all(publisher.state(f"r{n}") in ("SENT", "UNKNOWN") for n in (0, 60, 119, 150, 179)), "the mails", 90)
    wait_until(lambda: int(flow(lab, broker)["waiting"]) == 0, "the queue to be empty", 90)
    check(third.alive(), "the third")
    check_equal(server.most, MOST, "most connections at once")


def test_more_workers_than_connections(lab):
    """One connection, three workers: it goes on when the one that has it leaves."""
    server = lab.faultd("drip")
    broker = lab.broker({"lab": smtp_profile(server.port, max_connections=1)}, QUICK)
    workers = [lab.worker(broker, f"w{n}", config={"beat": "100ms"}) for n in range(3)]
    feed(lab, broker, 30)
    wait_until(lambda: len(server.accepted) >= 5, "the first mails")
    for worker in workers[:2]:
        check_equal(worker.stop(), 0, "exit status")
    wait_until(lambda: len(server.accepted) == 30, "all mails", 60)
    check_equal(server.most, 1, "connections at once")


if __name__ == "__main__":
    run(globals())
