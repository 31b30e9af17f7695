"""A flood of one producer, of one profile or of one priority does not keep another's single mail waiting. What counts is the order
in which the broker leases, told by its status events; no clock is looked at."""
from tpn_harness import check, check_equal, run, smtp_profile, wait_until
from tpn_keys import House
from tpn_wire import state_name

FLOOD = 300
SMALL = {"window": {"requests": 50}}  # less than the flood: most of it waits on disk
WEIGHTS = {"URGENT": 16, "NORMAL": 4, "BULK": 1}  # turns of the classes (schedule.c)


def flood(lab, link, name, count=FLOOD, **fields):
    for number in range(count):
        request = lab.request(f"{name}-{number}", **fields)
        check_equal(link.submit(request).status, lab.pb.RECEIPT_STATUS_ACCEPTED, request.id)


def turns(lab, follower, count):
    """The ids in the order in which they were leased, when so many were."""
    def leased():
        return [event.request_id for _, event in follower.events if state_name(lab.pb, event.state) == "LEASED"]
    follower.wait_for(lambda _: len(leased()) >= count, f"{count} leases", 60)
    return leased()


def check_turn(order, name, bound):
    """The first lease of the one comes among the first `bound`."""
    place = next(place for place, request_id in enumerate(order) if request_id.startswith(name))
    check(place < bound, f"{name} is leased as number {place + 1}: one of the first {bound} was promised; {order[:bound + 5]}")


def test_producers_take_turns(lab):
    house = House(lab, **SMALL)
    follower = house.follower("watch")
    flood(lab, house.publisher("trackpro"), "flood")
    flood(lab, house.publisher("other"), "alert", count=1)
    house.worker()
    order = turns(lab, follower, FLOOD + 1)
    check_turn(order, "alert", 2)
    check_equal([one for one in order if one.startswith("flood")], [f"flood-{n}" for n in range(FLOOD)], "the order of the others")


def test_profiles_take_turns(lab):
    sink = lab.sink()
    broker = lab.broker({name: smtp_profile(sink.port) for name in ("big", "small")}, SMALL)
    follower, link = lab.follower(broker), lab.publisher(broker)
    flood(lab, link, "flood", profile="big")
    flood(lab, link, "alert", count=1, profile="small")
    lab.worker(broker)
    check_turn(turns(lab, follower, FLOOD + 1), "alert", 2)


def test_no_class_starves(lab):
    """One request of the lowest class, behind two floods; and the classes have the shares that they are promised."""
    sink = lab.sink()
    broker = lab.broker({"lab": smtp_profile(sink.port)}, SMALL)
    follower, link = lab.follower(broker), lab.publisher(broker)
    flood(lab, link, "URGENT", priority=lab.pb.PRIORITY_URGENT)
    flood(lab, link, "NORMAL", priority=lab.pb.PRIORITY_NORMAL)
    flood(lab, link, "BULK", count=10, priority=lab.pb.PRIORITY_BULK)
    lab.worker(broker)
    order = turns(lab, follower, 2 * FLOOD + 10)
    round_of_all = sum(WEIGHTS.values())
    check_turn(order, "BULK", round_of_all)
    rounds = 2  # within the window, so no reading from the disk is in between
    for name, weight in WEIGHTS.items():
        got = sum(one.startswith(name) for one in order[:rounds * round_of_all])
        # One more or less: whoever is ready in the first moment begins.
        check(abs(got - rounds * weight) <= 1, f"{got} turns of {name} in {rounds} rounds, {weight} in each were promised")


def test_a_server_that_stalls_holds_up_its_own_mail_only(lab):
    """More of it than the worker takes at a time."""
    sink = lab.sink()
    silent = lab.faultd("greet-never")
    broker = lab.broker({"slow": smtp_profile(silent.port, connect_timeout="120s", max_connections=2), "fast": smtp_profile(sink.port)})
    worker = lab.worker(broker, jobs=20, config={"drain": "100ms"})
    follower, link = lab.follower(broker), lab.publisher(broker)
    flood(lab, link, "stuck", profile="slow", count=100)
    wait_until(lambda: silent.connections > 0, "the silent server to be asked")
    flood(lab, link, "alert", count=30, profile="fast")
    follower.wait_for(lambda f: all("SENT" in f.states(f"alert-{n}") for n in range(30)), "the others to be sent", 30)
    check(worker.alive(), "the worker lives")


run(globals())
