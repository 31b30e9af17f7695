"""Pickup folders that are full, on another file system, or paced.

The worker runs in a mount namespace of its own, its folder a tmpfs of 256 KB; the test looks into it through /proc/PID/root."""
import os
import pathlib
import subprocess
import time

from tpn_harness import Skip, check, check_equal, pickup_profile, run, wait_until

QUICK = {"retry": {"delays": ["1s"]}}
# A new mount namespace, the folder a small tmpfs, and then the worker in place of the shell.
WRAP = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=256k,mode=755 tmpfs "$0" && exec "$@"']


def small_folder(lab, broker, box):
    """A worker that has a small file system of its own at box; returns the path by which the test sees it."""
    probe = subprocess.run([*WRAP, box, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        raise Skip(f"this machine lets nobody mount: {probe.stderr.strip()}")
    worker = lab.worker(broker, roots=[lab.dir], wrap=[*WRAP, box])
    seen = pathlib.Path(f"/proc/{worker.pid}/root{box}")
    wait_until(lambda: os.path.ismount(seen) or seen.stat().st_dev != lab.dir.stat().st_dev, "the small file system")
    return seen


def fill(seen):
    """Until nothing more goes in."""
    ballast = seen / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    return ballast


def start(lab):
    box = lab.folder("box")
    broker = lab.broker({"lab": pickup_profile(box, pickup_dialect="plain")}, QUICK)
    return broker, small_folder(lab, broker, box)


def test_a_full_disk_is_told_and_tried_again(lab):
    broker, seen = start(lab)
    follower = lab.follower(broker)
    ballast = fill(seen)
    lab.publisher(broker).submit(lab.request("full"))
    event = follower.wait_state("full", "DEFERRED")
    check("No space left on device" in event.recipients[0].text, event.recipients[0].text)
    check_equal([path.name for path in seen.iterdir()], ["ballast"], "nothing half written is left")
    ballast.unlink()
    follower.wait_state("full", "HANDED_OFF", timeout_s=30)
    check_equal(len(list(seen.glob("*.eml"))), 1, "files, on another file system than the root of the folders")


def test_a_disk_that_is_full_for_a_moment_costs_no_attempt(lab):
    broker, seen = start(lab)
    follower = lab.follower(broker)
    ballast = fill(seen)
    lab.publisher(broker).submit(lab.request("moment"))
    follower.wait_state("moment", "LEASED")
    time.sleep(0.3)  # not to be right: so that the first try is likely to meet the full disk
    ballast.unlink()
    event = follower.wait_state("moment", "HANDED_OFF")
    check_equal(event.attempt, 1, "attempts")
    check("DEFERRED" not in follower.states("moment"), "it was put off")


def test_exchange_gets_a_hundred_files_a_minute(lab):
    box = lab.folder("box")
    broker = lab.broker({"lab": pickup_profile(box, pickup_dialect="exchange")})
    lab.worker(broker, roots=[box], jobs=300)
    lab.worker(broker, "w2", roots=[box], jobs=300)
    follower = lab.follower(broker)
    pipeline = lab.pipeline(broker)
    for n in range(130):
        pipeline.send(lab.request(f"e{n}"))
    pipeline.settle(20)

    def done():
        return sum(event.state == lab.pb.STATE_HANDED_OFF for _, event in follower.events)
    follower.wait_for(lambda f: done() >= 100, "100 files")
    follower.pump(1500)
    check_equal(len(list(box.glob("*.eml"))), 100, "files in the first minute, of both workers together")
    check_equal(len(list(box.glob(".*.part"))), 0, "files begun")


def test_each_part_of_a_split_request_counts(lab):
    box = lab.folder("box")
    broker = lab.broker({"lab": pickup_profile(box, pickup_dialect="exchange")})
    lab.worker(broker, roots=[box])
    follower = lab.follower(broker)
    split = lab.request("split", to=[f"p{n}@example.test" for n in range(130)], split=lab.pb.SPLIT_ONE_EACH)
    lab.publisher(broker).submit(split)
    wait_until(lambda: len(list(box.glob("*.eml"))) == 100, "100 files of one request")
    follower.pump(1500)
    check_equal(len(list(box.glob("*.eml"))), 100, "files in the first minute")


run(globals())
