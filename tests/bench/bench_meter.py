"""What one run of one side costs: CPU time, peak memory, and what the rest of the machine did meanwhile.

CPU time of a process that ends is that of wait4(2), of a server the difference of /proc/PID/stat around the run; peak
memory is VmHWM, read while the process lives (ru_maxrss is no use: it keeps the peak of the forking parent)."""
import contextlib
import dataclasses
import os
import pathlib
import re
import select
import subprocess
import sys
import time

from tpn_harness import BUILD_DIR, Skip, check, check_equal, die_with_parent
from tpn_wire import SLOW

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
SAMPLE_S = 0.05       # how often VmHWM is read
RUN_LIMIT_S = 900.0


@dataclasses.dataclass
class Result:
    """What one run of one side gave."""
    figures: dict                                # {"mails/s": 5120.0, …}
    cpu: dict = dataclasses.field(default_factory=dict)   # {process: (user µs a message, system µs a message)}
    peak: dict = dataclasses.field(default_factory=dict)  # {process: VmHWM in MB}
    others: float = 0.0                          # CPU time of the rest of the machine, part of all cores


def stat_cpu(pid):
    """(user, system) seconds so far."""
    text = pathlib.Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    fields = text.rpartition(")")[2].split()  # from field 3 of proc(5) on; the name may hold blanks
    return int(fields[11]) * TICK_S, int(fields[12]) * TICK_S


def peak_mb(pid):
    """VmHWM, or 0 when the process has ended."""
    with contextlib.suppress(OSError):
        found = re.search(r"^VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text("utf-8"), re.M)
        if found:
            return int(found.group(1)) / 1024
    return 0.0


def machine_busy_s():
    """Seconds of CPU used by everyone: user, nice, system, irq, softirq and steal of proc(5)."""
    first = pathlib.Path("/proc/stat").read_text("ascii").splitlines()[0].split()[1:]
    return sum(int(first[i]) for i in (0, 1, 2, 5, 6, 7)) * TICK_S


class Meter:
    """CPU and memory of servers, and of the rest of the machine, between start and finish."""

    def __init__(self, servers):
        self.servers = servers
        os.sync()  # what the run before left dirty is not this run's to write
        self.before = {server.name: stat_cpu(server.pid) for server in servers}
        self.busy = machine_busy_s() - sum(os.times()[:2])
        self.start = time.monotonic()

    def finish(self, messages, figures, child=None):
        seconds = time.monotonic() - self.start
        spent = {}
        for server in self.servers:
            was, now = self.before[server.name], stat_cpu(server.pid)
            spent[server.name] = (now[0] - was[0], now[1] - was[1])
        peak = {server.name: peak_mb(server.pid) for server in self.servers}
        if child:
            spent[child.name] = child.cpu
            peak[child.name] = child.peak
        others = machine_busy_s() - sum(os.times()[:2]) - self.busy - sum(sum(pair) for pair in spent.values())
        return Result(figures, {name: (user * 1e6 / messages, system * 1e6 / messages)
                                for name, (user, system) in spent.items()},
                      peak, max(0.0, others / seconds / os.cpu_count()))


@dataclasses.dataclass
class Child:
    """A program that ran to its good end."""
    name: str
    seconds: float
    cpu: tuple
    peak: float
    out: str


def run_child(lab, name, argv):
    """Run to the end. Anything but exit status 0 within RUN_LIMIT_S is a failure."""
    argv = [str(word) for word in argv]
    check(os.access(argv[0], os.X_OK), f"{argv[0]} is not there")
    out = lab.dir / f"{name}.out"
    peak = 0.0
    with open(out, "ab") as stdout, open(lab.dir / f"{name}.log", "ab") as stderr:
        start = time.monotonic()
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=lab.dir,
                                 preexec_fn=die_with_parent)
        ended = os.pidfd_open(child.pid)
        try:
            while not select.select([ended], [], [], SAMPLE_S)[0]:
                peak = max(peak, peak_mb(child.pid))
                check(time.monotonic() - start < RUN_LIMIT_S * SLOW, f"{name} does not end")
            seconds = time.monotonic() - start
        except BaseException:
            child.kill()
            child.wait()
            raise
        finally:
            os.close(ended)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)  # reaped here, not by Popen
    text = out.read_text("utf-8", "replace")
    check_equal(child.returncode, 0, f"exit status of {' '.join(argv)}; said {text[-500:]!r}")
    return Child(name, seconds, (usage.ru_utime, usage.ru_stime), peak, text)


def bench_program(name):
    path = BUILD_DIR / "tests" / name
    if not os.access(path, os.X_OK):
        raise Skip(f"{path} is not built")
    return path


def words_of(text):
    """{"rate": 5120.0, …} of the last line "rate=5120 …"."""
    return {key: float(value) for key, value in re.findall(r"(\w+)=([\d.]+)", text.splitlines()[-1])}


@contextlib.contextmanager
def shown_on_failure(lab):
    """The logs of a lab whose run is no result."""
    try:
        yield
    except Exception:
        lab.show_logs()
        raise


def say(text):
    print(f"# {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
