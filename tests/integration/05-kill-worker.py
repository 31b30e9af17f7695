"""kill -9 of a worker in the middle of 1,000 alerts: none lost, none doubled; what cannot be known is said so."""
import collections

from tpn_harness import Failure, check, check_equal, pickup_profile, run, smtp_profile, wait_until
from tpn_wire import FINAL, state_name

COUNT = 1000
CONNECTIONS = 8
# Short enough for a test, long enough that a busy machine does not lose a worker that lives.
QUICK = {"worker": {"beat": "250ms", "liveness": "2s"}, "lease": {"time": "10s", "grace": "2s"},
         "retry": {"delays": ["1s"]}}
SETTLED = (*FINAL, "UNKNOWN")


def states_of(lab, publisher, ids):
    """{id: name of its state}, asked in portions."""
    states = {}
    for start in range(0, len(ids), 250):
        for answer in publisher.query(ids[start:start + 250]):
            states[answer.id] = state_name(lab.pb, answer.state)
    return states


def publish(lab, broker, profile="lab"):
    pipeline = lab.pipeline(broker)
    ids = [f"alert-{n:04}" for n in range(COUNT)]
    for number, request_id in enumerate(ids):
        pipeline.send(lab.request(request_id, to=[f"c{number}@example.test"], profile=profile))
    return pipeline, ids


def wait_settled(lab, publisher, ids, timeout_s=60):
    states = {}

    def settled():
        states.update(states_of(lab, publisher, ids))
        return set(states.values()) <= set(SETTLED)
    try:
        wait_until(settled, "every alert to settle", timeout_s, every_s=1)
    except Failure as failure:
        raise Failure(f"{failure}; states: {dict(collections.Counter(states.values()))}") from None
    return states


def check_sink(sink, states, most_unknown):
    """SENT is at the sink, nothing is there twice, UNKNOWN is rare."""
    arrivals = collections.Counter(mail["rcpt"][0] for mail in sink.mails())
    doubled = [address for address, times in arrivals.items() if times > 1]
    check_equal(doubled, [], "mails that arrived twice")
    counts = collections.Counter(states.values())
    print(f"#   states: {dict(counts)}; at the server: {len(arrivals)}")
    lost = [i for i, state in states.items()
            if state == "SENT" and f"c{int(i[6:])}@example.test" not in arrivals]
    check_equal(lost, [], "SENT but never arrived")
    check_equal(set(counts) - {"SENT", "UNKNOWN"}, set(), "states at the end")
    check(counts["UNKNOWN"] <= most_unknown, f"{counts['UNKNOWN']} UNKNOWN, at most {most_unknown} can be")


def test_smtp_worker_killed(lab):
    sink = lab.sink("--delay-ms", "5")
    broker = lab.broker({"lab": smtp_profile(sink.port, max_connections=CONNECTIONS)}, QUICK)
    workers = [lab.worker(broker, name) for name in ("w1", "w2")]
    publisher = lab.publisher(broker)
    pipeline, ids = publish(lab, broker)
    wait_until(lambda: sink.count() >= COUNT // 4, "a quarter of the mails", 60, every_s=0.01)
    workers[0].kill()
    check(sink.count() < COUNT, "everything was sent before the kill: the test shows nothing")
    pipeline.settle(30)
    lab.worker(broker, "w3")
    states = wait_settled(lab, publisher, ids)
    # On each connection one mail is on its way, and the result of the one before may not have reached the broker. What
    # was permitted and had not begun to leave is given back by the next worker, which reads the killed one's diary.
    check_sink(sink, states, 2 * CONNECTIONS)


def test_pickup_worker_killed(lab):
    """A folder can be looked at: after a crash nothing is UNKNOWN."""
    box = lab.folder("box")
    broker = lab.broker({"lab": pickup_profile(box)}, QUICK)
    worker = lab.worker(broker, "w1", roots=[box])
    publisher = lab.publisher(broker)
    pipeline, ids = publish(lab, broker)
    wait_until(lambda: len(list(box.glob("*.eml"))) >= COUNT // 10, "a tenth of the files", 60, every_s=0.005)
    worker.kill()
    check(len(list(box.glob("*.eml"))) < COUNT, "everything was written before the kill: the test shows nothing")
    pipeline.settle(30)
    lab.worker(broker, "w2", roots=[box])
    states = wait_settled(lab, publisher, ids)
    check_equal(collections.Counter(states.values()), {"HANDED_OFF": COUNT}, "states")
    receivers = collections.Counter()
    for file in box.glob("*.eml"):
        lines = file.read_bytes().split(b"\r\n")
        receivers[next(line for line in lines if line.lower().startswith(b"x-receiver:"))] += 1
    check_equal((len(receivers), max(receivers.values())), (COUNT, 1), "files: people, most for one")


def test_worker_stopped_politely(lab):
    """SIGTERM: what is permitted is finished, the rest given back; nothing UNKNOWN, nothing twice."""
    sink = lab.sink("--delay-ms", "5")
    broker = lab.broker({"lab": smtp_profile(sink.port, max_connections=4)}, QUICK)
    worker = lab.worker(broker, "w1")
    publisher = lab.publisher(broker)
    pipeline, ids = publish(lab, broker)
    wait_until(lambda: sink.count() >= COUNT // 4, "a quarter of the mails", 60, every_s=0.01)
    check_equal(worker.stop(), 0, "exit status of the worker")
    check(sink.count() < COUNT, "everything was sent before the stop: the test shows nothing")
    pipeline.settle(30)
    lab.worker(broker, "w2")
    check_sink(sink, wait_settled(lab, publisher, ids), 0)


if __name__ == "__main__":
    run(globals())
