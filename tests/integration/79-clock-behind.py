"""A broker that starts again with its machine's clock an hour behind: what is stamped later does not wait for the clock to come there."""
import struct

from tpn_harness import BUILD_DIR, Broker, Skip, check, run, sanitized, smtp_profile, wait_until

HOUR_MS = 3600000
QUICK = {"retry": {"delays": ["1s"]}, "worker": {"beat": "200ms", "liveness": "3s"}}


def test_what_is_stamped_later_goes(lab):
    if sanitized():
        raise Skip("a sanitizer takes no library in front of its own")
    server = lab.faultd("greet-421")
    clock = lab.dir / "clock"
    clock.write_bytes(struct.pack("q", 0))
    broker = lab.add(Broker(lab, {"lab": smtp_profile(server.port, breaker_failures=1000)}, QUICK))
    broker.env.update({"LD_PRELOAD": str(BUILD_DIR / "tests" / "fault" / "libclock_shim.so"), "TPN_CLOCK_FILE": str(clock)})
    broker.start()
    lab.worker(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("deferred"))
    wait_until(lambda: publisher.state("deferred") == "DEFERRED", "the first attempt")
    broker.kill()
    server.set_mode("plain")
    clock.write_bytes(struct.pack("q", -HOUR_MS))
    broker.start()
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("fresh"))
    for name in ("deferred", "fresh"):
        wait_until(lambda name=name: publisher.state(name) == "SENT", f"{name} to be sent")
    times = [event.at_ms for event in publisher.query(["deferred"], with_history=True)[0].history]
    check(times == sorted(times), f"times of its history go back: {times}")


run(globals())
