"""Of a split pickup request whose worker was lost, only the parts that had their permit are looked for; the others go on."""
import zmq

from tpn_harness import check_equal, pickup_profile, run
from tpn_wire import outcome_name

QUICK = {"worker": {"beat": "250ms", "liveness": "1s"}, "lease": {"grace": "500ms"}, "retry": {"delays": ["500ms"]}}
PEOPLE = ["ann@e.test", "bob@e.test", "cy@e.test"]


class Doomed:
    """A worker that asks for the permit of one part, and is gone."""

    def __init__(self, lab, broker, box):
        self.pb = lab.pb
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(broker.endpoints["work"])
        self.say(b"TPN1.READY", lab.pb.Ready(worker="doomed", instance="doomed-1", credit=1,
                                             capabilities=["pickup", f"pickup:{box}"]))

    def say(self, verb, body):
        self.socket.send_multipart([verb, body.SerializeToString()])

    def hear(self, verb, kind):
        """The next message of a verb; beats and profiles are passed over."""
        while True:
            frames = self.socket.recv_multipart()
            if frames[0] == verb:
                return kind.FromString(frames[1])

    def ask_and_go(self, part):
        lease = self.hear(b"TPN1.JOB", self.pb.Job).lease
        self.say(b"TPN1.PERMIT?", self.pb.PermitAsk(parts=[self.pb.Part(lease=lease, part=part, recipients=[part])]))
        granted = self.hear(b"TPN1.PERMIT", self.pb.Permit).granted
        check_equal([one.part for one in granted], [part], "parts with a permit")
        self.socket.close()
        self.context.term()


def test_parts_without_a_permit_are_sent(lab):
    box = lab.folder("box")
    broker = lab.broker({"lab": pickup_profile(box)}, QUICK)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    doomed = Doomed(lab, broker, box)
    publisher.submit(lab.request("split", to=PEOPLE, split=lab.pb.SPLIT_ONE_EACH))
    doomed.ask_and_go(1)
    lab.worker(broker, roots=[box])
    follower.wait_state("split", "UNKNOWN", timeout_s=30)
    told = {r.address: outcome_name(lab.pb, r.outcome) for r in publisher.query(["split"])[0].recipients}
    # bob's file was durable when the permit was asked for, and is not there: it may have been taken.
    check_equal(told, {"ann@e.test": "DELIVERED", "bob@e.test": "UNKNOWN", "cy@e.test": "DELIVERED"}, "outcomes")
    check_equal(len(list(box.glob("*.eml"))), 2, "files")


run(globals())
