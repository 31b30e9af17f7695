"""A JOB leaves while its request's ACCEPT is on its way to the disk. Nothing else does: the disk stands still here, and neither
a receipt nor a permit nor an event may come before it goes on; what is refused after its JOB left is not sent."""
import zmq

from tpn_harness import check, check_equal, run, smtp_profile, wait_until
from tpn_stage import GatedBroker, PlainWorker

SILENCE_MS = 300
CONFIG = {"worker": {"beat": "250ms", "liveness": "60s"}}


class Scene:
    """A broker whose disk stands still or goes on, one worker, one producer that does not wait."""

    def __init__(self, lab):
        self.lab = lab
        self.pb = lab.pb
        self.broker = lab.add(GatedBroker(lab, {"lab": smtp_profile(9)}, CONFIG)).start()
        self.worker = PlainWorker(lab, self.broker)
        self.follower = lab.follower(self.broker)
        self.publisher = lab.publisher(self.broker)
        self.link = lab.pipeline(self.broker)
        # Until this one is through, the broker may still be reading what an earlier start left.
        self.link.send(lab.request("first"))
        self.deliver("first", self.worker.job().lease)
        self.receipt()

    def deliver(self, request_id, lease):
        self.worker.deliver(lease, request_id)
        check_equal(self.publisher.state(request_id), "SENT", "on the disk")

    def early_job(self, request):
        """The job of a request whose ACCEPT waits for the disk, which stands still from here on."""
        self.broker.stand_still()
        self.link.send(request)
        return self.worker.job().lease

    def check_silent(self, request_id):
        check(self.worker.next(b"TPN1.PERMIT", self.pb.Permit, SILENCE_MS) is None, "a permit before the ACCEPT is on disk")
        self.follower.pump()
        check(not self.link.socket.poll(0, zmq.POLLIN), "a receipt before the ACCEPT is on disk")
        check_equal(self.follower.states(request_id), [], "events before the ACCEPT is on disk")

    def receipt(self):
        wait_until(lambda: self.link.socket.poll(0, zmq.POLLIN), "a receipt")
        verb, body = self.link.socket.recv_multipart()
        check_equal(verb, b"TPN1.RECEIPT", "the answer")
        receipt = self.pb.Receipt.FromString(body)
        self.link.open.pop(receipt.id, None)
        return self.pb.ReceiptStatus.Name(receipt.status).removeprefix("RECEIPT_STATUS_")

    def restart(self):
        """Killed as it stands. The worker is known again behind it."""
        self.broker.kill()
        self.broker.gate.unlink(missing_ok=True)
        self.broker.start()
        self.worker.say(b"TPN1.READY", self.worker.ready)


def test_permit_waits_for_the_accept(lab):
    scene = Scene(lab)
    lease = scene.early_job(lab.request("alert"))
    scene.worker.ask(lease)
    scene.check_silent("alert")
    scene.broker.go_on()
    check_equal(scene.receipt(), "ACCEPTED", "the receipt")
    scene.worker.check_permit(granted=[lease])
    scene.worker.report(lease, "alert", lab.pb.OUTCOME_DELIVERED, smtp_code=250)
    scene.follower.wait_state("alert", "SENT")
    check_equal(scene.follower.states("alert"), ["ACCEPTED", "LEASED", "PERMITTED", "SENT"], "events")


def test_result_waits_for_the_accept(lab):
    """It fails before any permit, as with a server that is down."""
    scene = Scene(lab)
    lease = scene.early_job(lab.request("alert"))
    scene.worker.report(lease, "alert", lab.pb.OUTCOME_REFUSED, text="no such thing")
    scene.check_silent("alert")
    scene.broker.go_on()
    check_equal(scene.receipt(), "ACCEPTED", "the receipt")
    check_equal([part.lease for part in scene.worker.hear(b"TPN1.RESULT_OK", lab.pb.ResultOk).parts], [lease], "acknowledged")
    scene.follower.wait_state("alert", "FAILED")
    check_equal(scene.publisher.state("alert"), "FAILED", "on the disk")


def test_a_job_given_back_goes_out_again(lab):
    scene = Scene(lab)
    lease = scene.early_job(lab.request("alert"))
    back = lab.pb.JobResult(lease=lease, not_started=True, producer="local", request_id="alert")
    scene.worker.say(b"TPN1.RESULT", lab.pb.Result(results=[back]))
    scene.worker.say(b"TPN1.CREDIT", lab.pb.Credit(jobs=1))
    scene.broker.go_on()
    check_equal(scene.receipt(), "ACCEPTED", "the receipt")
    again = scene.worker.job().lease
    check(again > lease, f"lease {again} behind {lease}")
    scene.deliver("alert", again)


def test_refused_after_its_job_left(lab):
    """The id is used for another content. The broker, started anew, does not remember it; its store does."""
    scene = Scene(lab)
    scene.restart()
    wait_until(lambda: scene.publisher.state("first") == "SENT", "the new broker")
    lease = scene.early_job(lab.request("first", to=["eve@e.test"]))
    scene.worker.ask(lease)
    check_equal(scene.receipt(), "REJECTED", "the receipt")  # nothing is written, so no sync is waited for
    scene.worker.check_permit(denied=[lease])
    scene.broker.go_on()
    scene.worker.ask(lease)
    scene.worker.check_permit(denied=[lease])  # it asks late
    check_equal(scene.publisher.state("first"), "SENT", "the one that had the id before")
    scene.worker.say(b"TPN1.CREDIT", lab.pb.Credit(jobs=1))
    scene.link.send(lab.request("next"))
    scene.deliver("next", scene.worker.job().lease)


def test_what_is_known_sends_no_job(lab):
    scene = Scene(lab)
    scene.broker.stand_still()
    scene.link.send(lab.request("first"))
    check(scene.worker.next(b"TPN1.JOB", lab.pb.Job, SILENCE_MS) is None, "a job of a repeated request")
    scene.broker.go_on()
    check_equal(scene.receipt(), "DUPLICATE", "the receipt")


def test_broker_killed_before_the_accept_is_on_disk(lab):
    scene = Scene(lab)
    request = lab.request("alert")
    lease = scene.early_job(request)
    scene.restart()
    scene.worker.ask(lease)
    scene.worker.check_permit(denied=[lease])
    scene.link.send(request)  # the producer has no receipt
    check(scene.receipt() in ("ACCEPTED", "DUPLICATE"), "the receipt")
    again = scene.worker.job().lease
    check(again > lease, f"lease {again} behind {lease}")
    scene.deliver("alert", again)


def test_worker_lost_before_the_accept_is_on_disk(lab):
    scene = Scene(lab)
    lease = scene.early_job(lab.request("alert"))
    scene.worker.ask(lease)
    scene.worker.go()
    wait_until(lambda: "result=lost" in scene.broker.text(), "the worker to be missed")
    scene.worker = PlainWorker(lab, scene.broker, name="other")
    scene.broker.go_on()
    check_equal(scene.receipt(), "ACCEPTED", "the receipt")
    again = scene.worker.job().lease
    check(again > lease, f"lease {again} behind {lease}")
    scene.deliver("alert", again)


def test_broker_stopped_before_the_accept_is_on_disk(lab):
    scene = Scene(lab)
    scene.early_job(lab.request("alert"))
    scene.broker.child.terminate()
    scene.broker.go_on()
    check_equal(scene.broker.stop(), 0, "exit status of the broker")
    scene.restart()
    scene.deliver("alert", scene.worker.job().lease)


run(globals())
