"""A producer without a receipt sends again. When a rule that hangs on time or configuration has become stricter meanwhile,
what was accepted is still told as such: "rejected" would say that nothing will be sent."""
import itertools
import signal
import time

from tpn_harness import check_equal, pickup_profile, run, wait_until
from tpn_wire import state_name


def told(lab, receipt):
    return (lab.pb.ReceiptStatus.Name(receipt.status).removeprefix("RECEIPT_STATUS_"), state_name(lab.pb, receipt.state),
            receipt.field)


def test_after_its_end(lab):
    broker = lab.broker({"lab": pickup_profile(lab.folder("box"))})
    lab.worker(broker, roots=[lab.dir])
    publisher = lab.publisher(broker)
    end_ms = int(time.time() * 1000) + 2000
    request = lab.request("short", expire_at_ms=end_ms)
    check_equal(told(lab, publisher.submit(request)), ("ACCEPTED", "ACCEPTED", ""), "first")
    wait_until(lambda: publisher.state("short") == "HANDED_OFF", "the mail to go")
    wait_until(lambda: time.time() * 1000 > end_ms, "its end")
    check_equal(told(lab, publisher.submit(request)), ("DUPLICATE", "HANDED_OFF", ""), "once more, after its end")
    other = lab.request("short", to=["eve@e.test"], expire_at_ms=end_ms)
    check_equal(told(lab, publisher.submit(other))[0], "REJECTED", "another content under its id")
    late = lab.request("late", expire_at_ms=end_ms)
    check_equal(told(lab, publisher.submit(late)), ("REJECTED", "UNSPECIFIED", "expire_at_ms"), "new, and too late")
    check_equal(publisher.state("late"), "UNSPECIFIED", "of what was rejected nothing is kept")


def test_after_its_profile_was_taken_away(lab):
    broker = lab.broker({"lab": pickup_profile(lab.folder("box"))})
    publisher = lab.publisher(broker)
    request = lab.request("old")
    check_equal(told(lab, publisher.submit(request)), ("ACCEPTED", "ACCEPTED", ""), "first")
    broker.write_profiles({"other": pickup_profile(lab.folder("box"))})
    broker.child.send_signal(signal.SIGHUP)
    new = (lab.request(f"new-{i}") for i in itertools.count())  # one that came before the signal stays known
    wait_until(lambda: told(lab, publisher.submit(next(new)))[0] == "REJECTED", "the profile to be gone")
    check_equal(told(lab, publisher.submit(request)), ("DUPLICATE", "ACCEPTED", ""), "once more")
    check_equal(told(lab, publisher.submit(lab.request("newer"))), ("REJECTED", "UNSPECIFIED", "profile"), "a new one")


run(globals())
