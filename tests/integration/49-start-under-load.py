"""Producers do not wait until a broker that starts again has read what it has: nothing of the old is overtaken for good."""
import zmq

from tpn_harness import check_equal, run, smtp_profile, wait_until
from tpn_wire import state_name

OLD = 15000  # so many that it takes a moment to list what was under way
ROUNDS = 5
A_ROUND = 50


def test_old_requests_are_not_left_behind(lab):
    """What comes in during the first milliseconds of a start must not move the lane's cursor past what lies on disk."""
    sink = lab.sink()
    broker = lab.broker({"lab": smtp_profile(sink.port)})
    pipeline = lab.pipeline(broker)
    pipeline.socket.setsockopt(zmq.RECONNECT_IVL, 1)
    pipeline.socket.setsockopt(zmq.RECONNECT_IVL_MAX, 0)
    # Options hold for connections made later.
    pipeline.socket.disconnect(broker.endpoints["submit"])
    pipeline.socket.connect(broker.endpoints["submit"])
    ids = [f"old-{number}" for number in range(OLD)]
    for name in ids:
        pipeline.send(lab.request(name))
    pipeline.settle(60)
    for number in range(ROUNDS):
        broker.kill()
        for item in range(A_ROUND):
            ids.append(f"r{number}-{item}")
            pipeline.send(lab.request(ids[-1]))
        broker.start()
        pipeline.settle(60, resend_after_s=0.5)
    lab.worker(broker)
    publisher = lab.publisher(broker)

    def settled():
        states = {}
        for start in range(0, len(ids), 250):
            for answer in publisher.query(ids[start:start + 250]):
                states.setdefault(state_name(lab.pb, answer.state), []).append(answer.id)
        return set(states) == {"SENT"}
    wait_until(settled, "every request to be sent", 30, every_s=0.5)
    check_equal(len({mail["id"] for mail in sink.mails()}), len(ids), "mails at the server")


run(globals())
