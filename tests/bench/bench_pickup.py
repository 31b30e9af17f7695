"""pickup: the durable path into a pickup folder against what the disk asks for such files."""
import concurrent.futures
import os
import re
import subprocess
import time

from bench_meter import Meter, shown_on_failure, words_of
from bench_path import PRIME, SOURCE_MAIL, WINDOW, Path, check_identities
from bench_row import Comparison, Side
from tpn_harness import Lab, check_equal, pickup_profile


def fresh_folder(lab):
    """A folder far from others on the disk, where ext4 can (chattr +T: subfolders are not kept together)."""
    top = lab.folder("top")
    subprocess.run(["chattr", "+T", top], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return lab.folder("top/pickup")


def durable_pickup(setup):
    with Lab("bench") as lab, shown_on_failure(lab):
        folder = fresh_folder(lab)
        path = Path(lab, pickup_profile(folder), roots=[folder])
        meter = Meter(path.servers)
        child = path.send("producer", setup.messages, WINDOW)
        result = meter.finish(setup.messages, {"mails/s": words_of(child.out)["rate"]}, child)
        path.stop()
        check_identities([message_id(file) for file in folder.glob("*.eml")], setup.messages + PRIME)
        return result


def message_id(path):
    found = re.search(rb"^Message-ID:\s*(\S+)", path.read_bytes().partition(b"\r\n\r\n")[0], re.M | re.I)
    return found.group(1) if found else b""


def plain_files(setup):
    """What the disk asks for such files alone: eight threads that create, write, fsync and rename, no folder sync."""
    with Lab("bench") as lab:
        folder = fresh_folder(lab)

        def write(number):
            part = folder / f"{number}.part"
            with open(part, "xb", buffering=0) as file:
                file.write(b"x" * SOURCE_MAIL)
                os.fsync(file.fileno())
            part.rename(folder / f"{number}.eml")

        meter = Meter([])
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(setup.messages)))
        result = meter.finish(setup.messages, {"mails/s": setup.messages / (time.monotonic() - meter.start)})
        check_equal(len(list(folder.glob("*.eml"))), setup.messages, "no result: files")
        return result


COMPARISONS = (
    Comparison("pickup", "into a fresh pickup folder", 5000, 300,
               (Side("the disk alone: 8 threads write, fsync, rename", plain_files),
                Side(f"durable: producer, broker, worker; {WINDOW} under way", durable_pickup))),
)
