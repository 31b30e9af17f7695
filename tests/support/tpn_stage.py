"""Two players for tests that need a moment held still: a broker on a disk that stands still, a worker that does as it is told."""
import time

import zmq

from tpn_harness import BUILD_DIR, Broker, Skip, check, check_equal, sanitized
from tpn_wire import SLOW

PATIENCE_MS = 20000


class GatedBroker(Broker):
    """Its disk syncs nothing while the gate is shut (sync_gate.c)."""

    def __init__(self, lab, profiles, config=None):
        if sanitized():
            raise Skip("a sanitizer takes no library in front of its own")
        super().__init__(lab, profiles, config)
        self.gate = lab.dir / "gate"
        self.env.update({"LD_PRELOAD": str(BUILD_DIR / "tests" / "integration" / "libsync_gate.so"), "TPN_SYNC_GATE": str(self.gate)})

    def stand_still(self):
        self.gate.touch()

    def go_on(self):
        self.gate.unlink()


class PlainWorker:
    """Says READY and then what the test says. What it hears waits until the test asks for its verb."""

    def __init__(self, lab, broker, capabilities=("smtp",), name="plain"):
        self.pb = lab.pb
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.ROUTING_ID, name.encode())
        self.socket.setsockopt(zmq.RECONNECT_IVL, 50)
        self.socket.connect(broker.endpoints["work"])
        lab.callback(self.go)
        self.ready = lab.pb.Ready(worker=name, instance=f"{name}-1", credit=1, capabilities=capabilities)
        self.heard = []
        self.say(b"TPN1.READY", self.ready)

    def say(self, verb, body):
        self.socket.send_multipart([verb, body.SerializeToString()])

    def next(self, verb, kind, wait_ms=PATIENCE_MS):
        """The next message of a verb; None: there was none for so long."""
        end = time.monotonic() + wait_ms * SLOW / 1000
        while True:
            for frames in self.heard:
                if frames[0] == verb:
                    self.heard.remove(frames)
                    return kind.FromString(frames[1])
            if not self.socket.poll(max(0, end - time.monotonic()) * 1000):
                return None
            self.heard.append(self.socket.recv_multipart())

    def hear(self, verb, kind):
        message = self.next(verb, kind)
        check(message is not None, f"nothing of {verb!r}")
        return message

    def job(self):
        return self.hear(b"TPN1.JOB", self.pb.Job)

    def ask(self, lease, **part):
        self.say(b"TPN1.PERMIT?", self.pb.PermitAsk(parts=[self.pb.Part(lease=lease, **part)]))

    def permit(self):
        return self.hear(b"TPN1.PERMIT", self.pb.Permit)

    def report(self, lease, request_id, outcome, **more):
        """Of a request with one recipient."""
        result = self.pb.JobResult(lease=lease, recipients=[0], results=[self.pb.RecipientResult(outcome=outcome, **more)],
                                   producer="local", request_id=request_id)
        self.say(b"TPN1.RESULT", self.pb.Result(results=[result]))

    def check_permit(self, granted=(), denied=()):
        """The next PERMIT has these leases and no others."""
        permit = self.permit()
        check_equal(([part.lease for part in permit.granted], [part.lease for part in permit.denied]),
                    (list(granted), list(denied)), "permits: granted, denied")

    def deliver(self, lease, request_id):
        """From the question to the acknowledged result; then it takes the next job."""
        self.ask(lease)
        self.check_permit(granted=[lease])
        self.report(lease, request_id, self.pb.OUTCOME_DELIVERED, smtp_code=250)
        self.hear(b"TPN1.RESULT_OK", self.pb.ResultOk)
        self.say(b"TPN1.CREDIT", self.pb.Credit(jobs=1))

    def go(self):
        if not self.socket.closed:
            self.socket.close()
            self.context.term()
