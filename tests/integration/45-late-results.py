"""A worker that was stopped for too long comes back and tells what became of its mails: the truth replaces UNKNOWN."""
import os
import signal

from tpn_harness import check_equal, run, smtp_profile, wait_until
from tpn_wire import outcome_name

QUICK = {"worker": {"beat": "250ms", "liveness": "1s"}, "lease": {"grace": "1s"}}
PEOPLE = ["ann@e.test", "bob@e.test"]


def test_parts_of_a_split_request_are_told_late(lab):
    """Each part has its own result; the first one of them must not end the broker, nor decide for the others."""
    server = lab.faultd("stall-after-dot")
    broker = lab.broker({"lab": smtp_profile(server.port, content_timeout="60s", max_connections=3)}, QUICK)
    worker = lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("split", to=PEOPLE, split=lab.pb.SPLIT_ONE_EACH))
    wait_until(lambda: len(server.contents) == 2, "two mails at the server")
    os.kill(worker.pid, signal.SIGSTOP)
    follower.wait_state("split", "UNKNOWN")
    server.ended.set()  # the stalled connections end without an answer …
    os.kill(worker.pid, signal.SIGCONT)

    def told():
        return [outcome_name(lab.pb, r.outcome) for r in publisher.query(["split"])[0].recipients]
    # … so the worker's own results say UNKNOWN too, in its words instead of ours.
    wait_until(lambda: all("worker was lost" not in r.text for r in publisher.query(["split"])[0].recipients),
               "the worker's own words about each", 30)
    check_equal(told(), ["UNKNOWN"] * 2, "outcomes")
    check_equal(set(follower.states("split")[3:]) - {"PERMITTED"}, {"UNKNOWN"}, "states from the permit on")
    check_equal(broker.alive(), True, "the broker lives")


def test_late_results_decide(lab):
    sink = lab.sink("--delay-ms", "4000")
    broker = lab.broker({"lab": smtp_profile(sink.port, content_timeout="60s", max_connections=3)}, QUICK)
    worker = lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("split", to=PEOPLE, split=lab.pb.SPLIT_ONE_EACH))
    wait_until(lambda: sink.count() == 2, "two mails at the server")
    os.kill(worker.pid, signal.SIGSTOP)
    follower.wait_state("split", "UNKNOWN")
    os.kill(worker.pid, signal.SIGCONT)
    follower.wait_state("split", "SENT", timeout_s=30)
    check_equal(sink.count(), 2, "mails at the server")


run(globals())
