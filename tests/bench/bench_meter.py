"""What one run of one side costs: CPU time, peak memory, and what the rest of the machine did meanwhile.

CPU time of a process that ends is that of wait4(2), of a server the difference of /proc/PID/stat around the run; peak
memory is VmHWM, read while the process lives (ru_maxrss is no use: it keeps the peak of the forking parent). A server
of many processes (its .tree is true) counts with all of them; their memory is the sum of their PSS at the end."""
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


def family(pid):
    """The process and all that came from it and live."""
    parents = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
            parents[int(folder.name)] = int(fields[1])
    found, more = {pid}, {pid}
    while more:
        more = {child for child, parent in parents.items() if parent in more} - found
        found |= more
    return found


def family_cpu(pid):
    """(user, system) seconds so far, of those that ended and were waited for, too."""
    user = system = 0
    for member in family(pid):
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{member}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
            user += int(fields[11]) + int(fields[13])
            system += int(fields[12]) + int(fields[14])
    return user * TICK_S, system * TICK_S


def family_mb(pid):
    """Sum of the proportional set sizes now: pages that processes share count once."""
    total = 0
    for member in family(pid):
        with contextlib.suppress(OSError):
            text = pathlib.Path(f"/proc/{member}/smaps_rollup").read_text("ascii")
            total += int(re.search(r"^Pss:\s+(\d+) kB", text, re.M).group(1))
    return total / 1024


def server_cpu(server):
    return family_cpu(server.pid) if getattr(server, "tree", False) else stat_cpu(server.pid)


def server_mb(server):
    return family_mb(server.pid) if getattr(server, "tree", False) else peak_mb(server.pid)


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
        self.before = {server.name: server_cpu(server) for server in servers}
        self.busy = machine_busy_s() - sum(os.times()[:2])
        self.start = time.monotonic()

    def finish(self, messages, figures, child=None):
        seconds = time.monotonic() - self.start
        spent = {}
        for server in self.servers:
            was, now = self.before[server.name], server_cpu(server)
            spent[server.name] = (now[0] - was[0], now[1] - was[1])
        peak = {server.name: server_mb(server) for server in self.servers}
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


class Started:
    """A program that runs, its output in lab/NAME.out."""

    def __init__(self, lab, name, argv, env=None):
        self.name = name
        self.argv = [str(word) for word in argv]
        check(os.access(self.argv[0], os.X_OK), f"{self.argv[0]} is not there")
        self.out = lab.dir / f"{name}.out"
        self.peak = 0.0
        self.start = time.monotonic()
        with open(self.out, "ab") as stdout, open(lab.dir / f"{name}.log", "ab") as stderr:
            self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                                          cwd=lab.dir, env={**os.environ, **(env or {})},
                                          preexec_fn=die_with_parent)
        self.ended = os.pidfd_open(self.child.pid)

    def kill(self):
        """Harmless when it was waited for."""
        if self.child.returncode is None:
            self.child.kill()
            self.child.wait()
        if self.ended >= 0:
            os.close(self.ended)
            self.ended = -1

    def sample(self):
        self.peak = max(self.peak, peak_mb(self.child.pid))

    def wait(self, beside=()):
        """Child. Anything but exit status 0 within RUN_LIMIT_S is a failure. beside: others whose memory is looked at, too."""
        while not select.select([self.ended], [], [], SAMPLE_S)[0]:
            for one in (self, *beside):
                one.sample()
            check(time.monotonic() - self.start < RUN_LIMIT_S * SLOW, f"{self.name} does not end")
        seconds = time.monotonic() - self.start
        _, status, usage = os.wait4(self.child.pid, 0)
        self.child.returncode = os.waitstatus_to_exitcode(status)  # reaped here, not by Popen
        text = self.out.read_text("utf-8", "replace")
        check_equal(self.child.returncode, 0, f"exit status of {' '.join(self.argv)}; said {text[-500:]!r}")
        return Child(self.name, seconds, (usage.ru_utime, usage.ru_stime), self.peak, text)


def run_child(lab, name, argv, env=None, beside=()):
    """Run to the end; returns Child."""
    with contextlib.ExitStack() as stack:
        started = Started(lab, name, argv, env)
        stack.callback(started.kill)
        return started.wait(beside)


def run_children(lab, name, argvs):
    """Several at a time, to the end of the last: [Child]."""
    with contextlib.ExitStack() as stack:
        started = []
        for number, argv in enumerate(argvs):
            started.append(Started(lab, f"{name}-{number}", argv))
            stack.callback(started[-1].kill)
        return [one.wait() for one in started]


def together(name, children):
    """One Child for several: their CPU time and memory added up. Its text is empty."""
    return Child(name, max(child.seconds for child in children),
                 tuple(sum(child.cpu[part] for child in children) for part in (0, 1)),
                 sum(child.peak for child in children), "")


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
