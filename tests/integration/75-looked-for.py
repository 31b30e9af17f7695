"""Of a split pickup request whose worker was lost, only the parts that had their permit are looked for; the others go on."""
from tpn_harness import check_equal, pickup_profile, run
from tpn_stage import PlainWorker
from tpn_wire import outcome_name

QUICK = {"worker": {"beat": "250ms", "liveness": "1s"}, "lease": {"grace": "500ms"}, "retry": {"delays": ["500ms"]}}
PEOPLE = ["ann@e.test", "bob@e.test", "cy@e.test"]


def test_parts_without_a_permit_are_sent(lab):
    box = lab.folder("box")
    broker = lab.broker({"lab": pickup_profile(box)}, QUICK)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    doomed = PlainWorker(lab, broker, ["pickup", f"pickup:{box}"], "doomed")
    publisher.submit(lab.request("split", to=PEOPLE, split=lab.pb.SPLIT_ONE_EACH))
    doomed.ask(doomed.job().lease, part=1, recipients=[1])
    check_equal([one.part for one in doomed.permit().granted], [1], "parts with a permit")
    doomed.go()
    lab.worker(broker, roots=[box])
    follower.wait_state("split", "UNKNOWN", timeout_s=30)
    told = {r.address: outcome_name(lab.pb, r.outcome) for r in publisher.query(["split"])[0].recipients}
    # bob's file was durable when the permit was asked for, and is not there: it may have been taken.
    check_equal(told, {"ann@e.test": "DELIVERED", "bob@e.test": "UNKNOWN", "cy@e.test": "DELIVERED"}, "outcomes")
    check_equal(len(list(box.glob("*.eml"))), 2, "files")


run(globals())
