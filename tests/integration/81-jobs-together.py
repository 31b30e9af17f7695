"""Several jobs in one message: what a worker that knows JOBS gets, what an older one gets, and that a message that is broken, or never
arrives, loses nothing and doubles nothing."""
import contextlib

import zmq

from tpn_harness import check, check_equal, run, smtp_profile, wait_until
from tpn_wire import SLOW

PATIENT = {"worker": {"beat": "60s", "liveness": "150s"}}  # the peers below do not beat
WIDE = smtp_profile(9, max_connections=200)  # nobody connects to it


class Peer(contextlib.AbstractContextManager):
    """A worker of ours, as far as the broker sees: it delivers whatever it gets to nowhere."""

    def __init__(self, lab, broker, name, *capabilities, credit=200):
        self.pb, self.got, self.kinds = lab.pb, [], []  # got: (Job, bytes of its request), in order of arrival
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(broker.endpoints["work"])
        self.say(b"TPN1.READY", lab.pb.Ready(worker=name, instance=f"{name}-1", credit=credit,
                                             capabilities=["smtp", *capabilities]))
        wait_until(lambda: f"name={name}" in broker.text(), f"{name} among the workers")

    def __exit__(self, *_):
        self.socket.close()
        self.context.term()

    def say(self, verb, body):
        self.socket.send_multipart([verb, body.SerializeToString()])

    def hear(self):
        """One message; jobs are kept."""
        check(self.socket.poll(20000 * SLOW), f"nothing more came after {len(self.got)} jobs")
        verb, body, *payload = self.socket.recv_multipart()
        if verb == b"TPN1.JOB":
            self.got.append((self.pb.Job.FromString(body), payload[0]))
        elif verb == b"TPN1.JOBS":
            rest = payload[0]
            for job in self.pb.Jobs.FromString(body).jobs:
                self.got.append((job, rest[:job.request_bytes]))
                rest = rest[job.request_bytes:]
            check_equal(rest, b"", "left over of frame 2")
        if verb in (b"TPN1.JOB", b"TPN1.JOBS"):
            self.kinds.append(verb.decode().removeprefix("TPN1."))
        return verb, body

    def hear_jobs(self, count):
        while len(self.got) < count:
            self.hear()

    def deliver(self):
        """All it has: permit, result, and the broker's word that it is settled."""
        leases = [job.lease for job, _ in self.got]
        self.say(b"TPN1.PERMIT?", self.pb.PermitAsk(parts=[self.pb.Part(lease=lease) for lease in leases]))
        good = self.pb.RecipientResult(outcome=self.pb.OUTCOME_DELIVERED)
        for verb, kind, field in ((b"TPN1.PERMIT", self.pb.Permit, "granted"), (b"TPN1.RESULT_OK", self.pb.ResultOk, "parts")):
            open_leases = set(leases)
            while open_leases:
                heard, body = self.hear()
                if heard == verb:
                    open_leases -= {part.lease for part in getattr(kind.FromString(body), field)}
            if verb == b"TPN1.PERMIT":
                self.say(b"TPN1.RESULT", self.pb.Result(results=[
                    self.pb.JobResult(lease=lease, recipients=[0], results=[good]) for lease in leases]))


def publish(lab, broker, names, text="x\r\n"):
    """In this order; returns what was sent, packed."""
    link = lab.pipeline(broker)
    requests = [lab.request(name) for name in names]
    for request in requests:
        request.message.text = text
        link.send(request)
    link.settle(30)
    return [request.SerializeToString() for request in requests]


def names(peer, pb):
    return [pb.NotificationRequest.FromString(request).id for _, request in peer.got]


def test_jobs_leave_together_in_their_order(lab):
    """As the producer sent them, byte for byte; what is large goes alone, and nobody passes it."""
    broker = lab.broker({"lab": WIDE}, PATIENT)
    sent = publish(lab, broker, [f"a{n:02}" for n in range(30)])
    sent += publish(lab, broker, ["large"], text="line\r\n" * 20000)
    sent += publish(lab, broker, [f"b{n:02}" for n in range(30)], text="x" * 4000 + "\r\n")
    with Peer(lab, broker, "new", "jobs") as peer:
        peer.hear_jobs(len(sent))
        check([request for _, request in peer.got] == sent, f"not what was sent, or not in its order: {names(peer, lab.pb)}")
        leases = [job.lease for job, _ in peer.got]
        check_equal(leases, sorted(set(leases)), "leases rise and differ")
        check_equal({job.attempt for job, _ in peer.got}, {1}, "attempts")
        # 30 small ones, the large one, 30 of 4 KB: at most 64 KB of them in one message.
        check_equal(peer.kinds, ["JOBS", "JOB", "JOBS", "JOBS"], "messages")
        peer.deliver()
    follower_states = {lab.publisher(broker).state(name) for name in ("a00", "large", "b29")}
    check_equal(follower_states, {"SENT"}, "states")


def test_old_and_new_workers_side_by_side(lab):
    """Each is spoken to as it understands; together they have every request once."""
    broker = lab.broker({"lab": WIDE}, PATIENT)
    with Peer(lab, broker, "old", "edit", credit=20) as old, Peer(lab, broker, "new", "jobs", credit=20) as new:
        # Paused meanwhile: alone, as they come in, some would leave before their receipt.
        check_equal(lab.tpn(broker, "queue", "pause", "--all").returncode, 0, "pause")
        publish(lab, broker, [f"r{n:02}" for n in range(20)])
        check_equal(lab.tpn(broker, "queue", "resume", "--all").returncode, 0, "resume")
        old.hear_jobs(10)
        new.hear_jobs(10)
        check_equal(set(old.kinds), {"JOB"}, "an older worker's messages")
        check("JOBS" in new.kinds, f"a new worker's messages: {new.kinds}")
        check_equal(sorted(names(old, lab.pb) + names(new, lab.pb)), [f"r{n:02}" for n in range(20)], "who has what")
        old.deliver()
        new.deliver()


def test_jobs_of_a_worker_that_is_gone(lab):
    """One leaves with a message under way, one is gone when the next leaves for it: all goes to another worker, in order, once."""
    broker = lab.broker({"lab": WIDE}, PATIENT)
    with Peer(lab, broker, "first", "jobs") as first:
        publish(lab, broker, ["known"])
        first.hear_jobs(1)
        first.deliver()
        check_equal(lab.tpn(broker, "queue", "pause", "--all").returncode, 0, "pause")
        wanted = [f"r{n:02}" for n in range(15)]
        publish(lab, broker, wanted)
    # Its connection is closed, and the broker has not looked yet; it knows the profile already, so JOBS is what fails.
    check_equal(lab.tpn(broker, "queue", "resume", "--all").returncode, 0, "resume")
    wait_until(lambda: "name=first result=lost" in broker.text(), "the first one's end")
    with Peer(lab, broker, "second", "jobs", credit=8) as second:
        second.hear_jobs(6)  # one profile has at most three quarters of a worker
        check_equal(names(second, lab.pb), wanted[:6], "in order")
        second.say(b"TPN1.BYE", lab.pb.Bye(reason="leaves with all of it"))
        wait_until(lambda: "name=second result=lost" in broker.text(), "the second one's end")
    with Peer(lab, broker, "third", "jobs") as third:
        third.hear_jobs(15)
        check_equal(sorted(names(third, lab.pb)), wanted, "all of them")
        third.deliver()
    check_equal({lab.publisher(broker).state(name) for name in wanted}, {"SENT"}, "states")


def test_a_request_that_its_worker_cannot_read(lab):
    """It ends as refused: given out again, it would come back the same way, and again."""
    broker = lab.broker({"lab": WIDE}, PATIENT)
    follower = lab.follower(broker)
    with Peer(lab, broker, "blind", "jobs") as peer:
        publish(lab, broker, ["garbled"])
        peer.hear_jobs(1)
        peer.say(b"TPN1.RESULT", lab.pb.Result(results=[lab.pb.JobResult(lease=peer.got[0][0].lease)]))
        event = follower.wait_state("garbled", "FAILED")
        check_equal([one.text for one in event.recipients], ["its worker cannot read the request"], "why")


class Master(contextlib.AbstractContextManager):
    """A broker, as far as a worker sees."""

    def __init__(self, lab):
        self.pb = lab.pb
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.endpoints = {"work": f"tcp://127.0.0.1:{port}"}

    def __exit__(self, *_):
        self.socket.close()
        self.context.term()

    def hear(self, verb, kind):
        while True:
            check(self.socket.poll(20000 * SLOW), f"the worker never said {verb}")
            self.peer, said, body = self.socket.recv_multipart()
            if said == verb:
                return kind.FromString(body)

    def say(self, *frames):
        self.socket.send_multipart([self.peer, *frames])

    def jobs(self, first_lease, requests):
        """Frames of a good JOBS."""
        jobs = self.pb.Jobs(jobs=[self.pb.Job(lease=first_lease + n, producer="p", attempt=1, accepted_at_ms=1764000000000,
                                              profile_version=7, request_bytes=len(request)) for n, request in enumerate(requests)])
        return [b"TPN1.JOBS", jobs.SerializeToString(), b"".join(requests)]


def test_a_worker_is_told_nonsense(lab):
    """A request that cannot be read refuses its own job; lengths that do not come out even start none, and the log says which."""
    sink, pb = lab.sink(), lab.pb
    settings = pb.MailingSettings(smtp_server="127.0.0.1", smtp_port=sink.port)
    with Master(lab) as master:
        worker = lab.worker(master)
        check("jobs" in master.hear(b"TPN1.READY", pb.Ready).capabilities, "the worker says that it knows JOBS")
        master.say(b"TPN1.PROFILE", pb.Profile(name="lab", version=7, settings=settings,
                                               share=pb.Share(connections=5)).SerializeToString())
        good = [lab.request(name).SerializeToString() for name in ("one", "two", "three")]
        verb, body, payload = master.jobs(100, good)
        for cut in (payload[:-1], payload + b"x", b"", payload[:len(good[0]) + 1]):
            master.say(verb, body, cut)
        master.say(verb, pb.Jobs(jobs=[pb.Job(lease=100, request_bytes=len(payload)), pb.Job(lease=101)]).SerializeToString(), payload)
        master.say(verb, body)
        master.say(verb, b"", payload)
        rules = ("field=jobs[2].request_bytes", "field=jobs[0].request_bytes", "field=jobs[1].request_bytes", "field=jobs rule=",
                 "frame 2, the request, is missing")
        wait_until(lambda: all(rule in worker.text() for rule in rules), f"what the worker says to nonsense: {worker.text()}")
        master.say(*master.jobs(200, [good[0], b"\x0a" + b"\xff" * 30, good[2]]))
        asked, refused = set(), set()
        while len(asked) < 2 or not refused:
            check(master.socket.poll(20000 * SLOW), f"asked {asked}, refused {refused}")
            master.peer, said, body = master.socket.recv_multipart()
            if said == b"TPN1.PERMIT?":
                parts = pb.PermitAsk.FromString(body).parts
                asked |= {part.lease for part in parts}
                master.say(b"TPN1.PERMIT", pb.Permit(granted=[pb.Part(lease=part.lease) for part in parts]).SerializeToString())
            elif said == b"TPN1.RESULT":
                refused |= {result.lease for result in pb.Result.FromString(body).results if not result.results}
        check_equal(asked, {200, 202}, "leases that ask for a permit")
        check_equal(refused, {201}, "leases that end without a recipient's result")
        wait_until(lambda: sink.count() == 2, "two mails at the server")
        worker.kill()


run(globals())
