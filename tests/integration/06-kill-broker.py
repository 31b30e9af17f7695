"""kill -9 of the broker in the middle of 1,000 alerts: what it accepted is not lost, and nothing is doubled."""
import collections
import importlib

from tpn_harness import check, check_equal, pickup_profile, run, smtp_profile, wait_until
from tpn_wire import state_name

crowd = importlib.import_module("05-kill-worker")
COUNT = crowd.COUNT


def test_broker_killed_while_sending(lab):
    sink = lab.sink("--delay-ms", "5")
    broker = lab.broker({"lab": smtp_profile(sink.port, max_connections=crowd.CONNECTIONS)}, crowd.QUICK)
    lab.worker(broker, "w1")
    pipeline, ids = crowd.publish(lab, broker)
    wait_until(lambda: sink.count() >= COUNT // 4, "a quarter of the mails", 60, every_s=0.01)
    broker.kill()
    pipeline.collect()
    accepted = set(pipeline.receipts)
    check(sink.count() < COUNT, "everything was sent before the kill: the test shows nothing")
    broker.start()
    publisher = lab.publisher(broker)
    known = crowd.states_of(lab, publisher, sorted(accepted))
    check_equal([i for i, state in known.items() if state == "UNSPECIFIED"], [], "accepted and then lost")
    pipeline.settle(60)
    states = crowd.wait_settled(lab, publisher, ids)
    # The worker lives and repeats what it knows; only what it could not get a permit for is sent later.
    crowd.check_sink(sink, states, 2 * crowd.CONNECTIONS)


def test_broker_killed_while_accepting(lab):
    """No worker: the disk alone decides what was accepted."""
    broker = lab.broker({"lab": pickup_profile(lab.folder("box"))}, crowd.QUICK)
    pipeline, ids = crowd.publish(lab, broker)
    wait_until(lambda: pipeline.collect() < COUNT, "a first receipt", 30, every_s=0.001)
    broker.kill()
    pipeline.collect()
    accepted = sorted(pipeline.receipts)
    broker.start()
    publisher = lab.publisher(broker)
    states = crowd.states_of(lab, publisher, accepted)
    check_equal(collections.Counter(states.values()), {"ACCEPTED": len(accepted)}, "what had a receipt")
    pipeline.settle(60)
    check_equal(collections.Counter(crowd.states_of(lab, publisher, ids).values()), {"ACCEPTED": COUNT},
                "after sending again what had none")


def test_broker_killed_again_and_again_with_pickup(lab):
    box = lab.folder("box")
    broker = lab.broker({"lab": pickup_profile(box)}, crowd.QUICK)
    lab.worker(broker, "w1", roots=[box])
    pipeline, ids = crowd.publish(lab, broker)
    for share in (20, 5, 2):
        wait_until(lambda wanted=COUNT // share: len(list(box.glob("*.eml"))) >= wanted,
                   f"{COUNT // share} files", 60, every_s=0.005)
        broker.kill()
        broker.start()
        pipeline.resend_open()
    pipeline.settle(60)
    states = crowd.wait_settled(lab, lab.publisher(broker), ids)
    check_equal(collections.Counter(states.values()), {"HANDED_OFF": COUNT}, "states")
    check_equal(len(list(box.glob("*.eml"))), COUNT, "files")


def test_epoch_changes_and_nothing_is_said_before_it_is_true(lab):
    """An event seen before the kill is never unsaid by the store after it."""
    box = lab.folder("box")
    broker = lab.broker({"lab": pickup_profile(box)}, crowd.QUICK)
    lab.worker(broker, "w1", roots=[box])
    follower = lab.follower(broker)
    pipeline, _ = crowd.publish(lab, broker)
    follower.wait_for(lambda f: len(f.events) > COUNT // 2, "events", 30)
    broker.kill()
    follower.pump(200)
    said = {event.request_id: state_name(lab.pb, event.state) for _, event in follower.events}
    first_epoch = {event.epoch for _, event in follower.events}
    broker.start()
    states = crowd.states_of(lab, lab.publisher(broker), sorted(said))
    rank = ("UNSPECIFIED", "ACCEPTED", "LEASED", "PERMITTED", "HANDED_OFF")
    # A lease alone may fall back: nothing was permitted, so nothing was sent.
    unsaid = {i: (said[i], state) for i, state in states.items()
              if rank.index(state) < rank.index(said[i]) and not (said[i] == "LEASED" and state == "ACCEPTED")}
    check_equal(unsaid, {}, "said before the kill and not true after it")
    pipeline.settle(60)
    follower.wait_connected()
    lab.publisher(broker).submit(lab.request("afterwards"))
    event = follower.wait_state("afterwards", "HANDED_OFF", timeout_s=60)
    check(event.epoch not in first_epoch, "the new broker goes on with the old epoch")
    check_equal(follower.gaps(), [], "gaps in the sequences")


run(globals())
