"""A request whose worker dies twice while holding it is set aside; innocents, and workers that leave politely, do not count."""
import os
import signal

from tpn_harness import check, check_equal, run, smtp_profile, wait_until

QUICK = {"worker": {"beat": "100ms", "liveness": "2s"}, "lease": {"time": "10s", "grace": "1s"},
         "retry": {"delays": ["1s"]}}
POISON = "poison: its worker died twice while it held this request"


def start(lab, broker, name):
    return lab.worker(broker, name, config={"drain": "200ms"})


def leases_of(lab, follower, request_id):
    follower.pump()
    return sum(e.state == lab.pb.STATE_LEASED for e in follower.of(request_id))


def wait_leased(lab, follower, request_id, count):
    wait_until(lambda: leases_of(lab, follower, request_id) >= count, f"lease {count} of {request_id}")


def test_two_deaths_and_never_a_third(lab):
    silent = lab.faultd("greet-never")
    broker = lab.broker({"lab": smtp_profile(silent.port)}, QUICK)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("bad"))
    for number in (1, 2):
        worker = start(lab, broker, f"w{number}")
        wait_leased(lab, follower, "bad", number)
        worker.kill()
    failed = follower.wait_state("bad", "FAILED")
    check_equal(failed.reason, POISON, "reason")
    check_equal(failed.recipients[0].text, POISON, "told for the recipient")
    start(lab, broker, "w3")
    publisher.submit(lab.request("mark"))
    wait_leased(lab, follower, "mark", 1)
    check_equal(leases_of(lab, follower, "bad"), 2, "leases of the poison")
    check("1 set aside as poison" in lab.tpn(broker, "status").stdout, "tpn status counts it")
    check_equal(lab.tpn(broker, "queue", "retry", "bad").returncode, 0, "a person may send it again")
    wait_leased(lab, follower, "bad", 3)


def test_leaving_politely_does_not_count(lab):
    silent = lab.faultd("greet-never")
    broker = lab.broker({"lab": smtp_profile(silent.port, connect_timeout="60s")}, QUICK)
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("good"))
    for number in (1, 2, 3):
        worker = start(lab, broker, f"w{number}")
        wait_leased(lab, follower, "good", number)
        worker.stop()
    check("FAILED" not in follower.states("good"), f"states: {follower.states('good')}")


def test_a_suspect_is_alone_with_its_worker(lab):
    """Three die with the first worker; each of the others takes one of them at a time, so one death convicts one."""
    silent = lab.faultd("greet-never")
    broker = lab.broker({"lab": smtp_profile(silent.port, connect_timeout="60s")}, QUICK)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    names = ("a", "b", "c")
    for name in names:
        publisher.submit(lab.request(name))
    first = start(lab, broker, "w1")
    for name in names:
        wait_leased(lab, follower, name, 1)
    first.kill()
    second = start(lab, broker, "w2")
    publisher.submit(lab.request("innocent", profile="lab"))
    wait_leased(lab, follower, "innocent", 1)
    wait_until(lambda: sum(leases_of(lab, follower, n) for n in names) == 4, "one suspect at the second worker")
    second.kill()
    wait_until(lambda: [publisher.state(n) for n in names].count("FAILED") == 1, "one to be set aside")
    check_equal(sorted(publisher.state(n) for n in names), ["ACCEPTED", "ACCEPTED", "FAILED"], "the others go on")
    silent.set_mode("all-welcome")
    start(lab, broker, "w3")
    rest = [n for n in names if publisher.state(n) != "FAILED"]
    for name in (*rest, "innocent"):
        follower.wait_state(name, "SENT", timeout_s=30)


def test_a_broken_connection_is_no_death(lab):
    """SIGSTOP looks like a death until the same worker speaks again; twice, and nothing is set aside."""
    silent = lab.faultd("greet-never")
    broker = lab.broker({"lab": smtp_profile(silent.port, connect_timeout="60s")},
                        {**QUICK, "worker": {"beat": "100ms", "liveness": "1s"}})
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("good"))
    worker = start(lab, broker, "w1")
    for number in (1, 2, 3):
        wait_leased(lab, follower, "good", number)
        os.kill(worker.pid, signal.SIGSTOP)
        wait_until(lambda: broker.text().count("result=lost") == number, "the worker to be missed")
        os.kill(worker.pid, signal.SIGCONT)
        wait_until(lambda: broker.text().count("result=alive") == number, "the worker to be back")
    check("FAILED" not in follower.states("good"), f"states: {follower.states('good')}")


if __name__ == "__main__":
    run(globals())
