"""pickup: files for a consumer that polls a folder, each on disk with its name before it counts, against what the disk asks for such
files alone with as many threads."""
import pathlib
import re
import subprocess
import tempfile

from bench_meter import Meter, bench_program, run_child, shown_on_failure, words_of
from bench_path import JOBS, PRIME, SOURCE_MAIL, WINDOW, Path, check_identities
from bench_row import Comparison, Goal, Side
from tpn_harness import Lab, check_equal, pickup_profile

THREADS = 8   # the worker's default
GROUP = 64    # files of one thread that share a sync of the folder; the worker's own groups are as large at most


def fresh_folder(setup):
    """A folder far from others on the disk, where ext4 can (chattr +T: subfolders are not kept together). It stays until the last
    run: for minutes after many files were deleted nearby every program is up to ten times slower, for ext4 passes over
    inodes that were deleted lately one by one."""
    top = pathlib.Path(tempfile.mkdtemp(prefix="top-", dir=setup.kept))
    subprocess.run(["chattr", "+T", top], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    folder = top / "pickup"
    folder.mkdir()
    return folder


def alone(name, program, *options):
    """A side without broker and producer."""
    def run(setup):
        with Lab("bench") as lab, shown_on_failure(lab):
            folder = fresh_folder(setup)
            meter = Meter([])
            child = run_child(lab, name, [bench_program(program), "-n", setup.messages, "-s", SOURCE_MAIL, "-j", THREADS,
                                          *options, folder])
            result = meter.finish(setup.messages, {"files/s": words_of(child.out)["per_second"]}, child)
            check_equal(len(list(folder.glob("*.eml"))), setup.messages, "no result: files")
            check_equal(len(list(folder.glob(".*.part"))), 0, "no result: files that were not handed over")
            return result
    return run


def durable_pickup(setup):
    with Lab("bench") as lab, shown_on_failure(lab):
        folder = fresh_folder(setup)
        path = Path(lab, pickup_profile(folder), roots=[folder])
        meter = Meter(path.servers)
        child = path.send("producer", setup.messages, WINDOW)
        result = meter.finish(setup.messages, {"files/s": words_of(child.out)["rate"]}, child)
        path.stop()
        check_identities([message_id(file) for file in folder.glob("*.eml")], setup.messages + PRIME)
        return result


def message_id(path):
    found = re.search(rb"^Message-ID:\s*(\S+)", path.read_bytes().partition(b"\r\n\r\n")[0], re.M | re.I)
    return found.group(1) if found else b""


COMPARISONS = (
    Comparison("pickup", f"into a fresh pickup folder, {THREADS} threads", 8000, 300,
               (Side("the disk alone: write, fsync, rename", alone("files", "files_bench"), "bare"),
                Side(f"the same, the folder synced for each {GROUP} files", alone("files", "files_bench", "-g", GROUP),
                     "synced"),
                Side(f"our back end alone, {JOBS} under way", alone("back-end", "pickup_engine_bench", "-w", JOBS), "back end"),
                Side(f"durable: producer, broker, worker; {WINDOW} under way", durable_pickup, "durable")),
               goals=(Goal("back end to the disk alone, both with folder synced", "back end", "files/s", "synced", at_least=0.9),
                      Goal("durable path to the disk alone", "durable", "files/s", "synced", at_least=0.9))),
)
