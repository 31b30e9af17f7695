"""The comparisons of tests/bench/run, which see: how each side is run, checked, measured and told.

One row of COMPARISONS is one table of figures: its sides run in turn, a, b, c, a, b, c, …, so that a machine that gets
slower or busier does so for all of them. Ratios are of the two runs of one round; their median is told.
Rules that make a figure a result:
- every server is our own child on loopback, new for every run, and ended by its pid;
- the receiving end counts, after the senders have ended: not exactly N is a Failure and ends everything;
- time is that of the whole sender process, but for the durable path, where it is from the first publish to the last
  final event (its processes are servers, and warm: PRIME messages went before);
- CPU time of a process that ends is that of wait4(2), of a server the difference of /proc/PID/stat around the run;
- peak memory is VmHWM, read while the process lives (ru_maxrss is no use: it keeps the peak of the forking parent).
"""
import argparse
import concurrent.futures
import contextlib
import ctypes
import dataclasses
import datetime
import os
import pathlib
import re
import select
import signal
import smtplib
import statistics
import subprocess
import sys
import tempfile
import time

from tpn_harness import (BUILD_DIR, EXIT_SKIPPED, SOURCE_DIR, Failure, Lab, Process, Skip, Worker, check, check_equal,
                         die_with_parent, pickup_profile, smtp_profile, wait_until)
from tpn_keys import Ring
from tpn_wire import SLOW

RESULTS = SOURCE_DIR / "tests" / "bench" / "RESULTS.md"
SMTP_SOURCE = "/usr/sbin/smtp-source"
PAYLOAD = 4096        # bytes of text of a mail
SOURCE_MAIL = 4222    # what smtp-source -l 4096 sends, header and all: the engine alone sends as much
WINDOW = 1000         # messages under way in the durable path
JOBS = 400            # tpn-worker --jobs
CONNECTIONS = 10
PRIME = 20            # messages through the durable path before the clock starts
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


@dataclasses.dataclass(frozen=True)
class Side:
    title: str
    run: object                                  # function(Setup) -> Result


@dataclasses.dataclass(frozen=True)
class Comparison:
    name: str                                    # on the command line; rows may share one
    title: str
    messages: int
    quick_messages: int
    sides: tuple
    proof: object = None                         # function(Setup): untimed, before the rounds


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a side needs to know."""
    messages: int


# --- What the kernel knows of a process and of the machine


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


# --- SMTP: a sender straight into smtp-sink


def check_sink(sink, wanted):
    """Exactly that many mails. The senders have ended; a session of our own flushes what the sink has yet to read."""
    with contextlib.suppress(Failure):  # what it did not reach is told below
        wait_until(lambda: sink.count() >= wanted or not sink.alive(), "smtp-sink to count", 10)
    check(sink.alive(), "smtp-sink ended")
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=10 * SLOW):
        pass
    check_equal(sink.count(), wanted, "no result: mails that smtp-sink counted")


def straight(name, make_argv):
    """A side that sends N mails into a new smtp-sink and ends."""
    def run(setup):
        with Lab("bench") as lab, shown_on_failure(lab):
            sink = lab.smtp_sink()
            meter = Meter([sink])
            child = run_child(lab, name, make_argv(setup, sink.port))
            result = meter.finish(setup.messages, {"mails/s": setup.messages / child.seconds}, child)
            check_sink(sink, setup.messages)
            return result
    return run


def smtp_source(connections):
    return straight("smtp-source", lambda setup, port: [
        SMTP_SOURCE, "-d", "-s", connections, "-m", setup.messages, "-l", PAYLOAD, "-f", "a@example.org", "-t",
        "b@example.org", f"127.0.0.1:{port}"])


def engine(connections):
    return straight("engine", lambda setup, port: [
        bench_program("smtp_engine_bench"), "-c", connections, "-n", setup.messages, "-s", SOURCE_MAIL,
        f"127.0.0.1:{port}"])


# --- The durable path: producer, broker, worker


class BenchWorker(Worker):
    """Its log may be silent: the messages of prime() tell that it is there."""

    def start(self):
        return Process.start(self)


class Path:
    """Broker and worker of a lab, with one profile, "sink"; with keys on every socket, or plain."""

    def __init__(self, lab, profile, roots=(), keys=False):
        self.lab = lab
        self.ring = None
        if keys:
            self.ring = Ring(lab)
            self.ring.new("bench", "producer")
            self.ring.new("worker", "worker")
        self.broker = lab.broker({"sink": profile}, self.ring and self.ring.config())
        self.worker = lab.add(BenchWorker(lab, self.broker, "worker", roots=roots, jobs=JOBS,
                                          config=self.ring and self.ring.worker("worker"))).start()
        self.servers = [self.broker, self.worker]
        self.send("prime", PRIME, PRIME)

    def send(self, name, messages, window):
        """pipeline_bench: fails by itself when a message ends twice, or not SENT or HANDED_OFF."""
        return run_child(self.lab, name, [
            bench_program("pipeline_bench"), "-n", messages, "-s", PAYLOAD, "-w", window,
            *(["-k", self.ring.path("bench"), "-K", self.ring.path("broker", ending="pub")] if self.ring else []),
            self.broker.endpoints["submit"], self.broker.endpoints["status"]])

    def stop(self):
        """The worker drains: what it delivers a second time, it has delivered by now."""
        for server in (self.worker, self.broker):
            check_equal(server.stop(), 0, f"exit status of {server.name}")


def sink_profile(port):
    return smtp_profile(port, max_connections=CONNECTIONS, max_messages_per_connection=100000)


def durable(setup, keys=False):
    with Lab("bench") as lab, shown_on_failure(lab):
        sink = lab.smtp_sink()
        path = Path(lab, sink_profile(sink.port), keys=keys)
        meter = Meter([*path.servers, sink])
        child = path.send("producer", setup.messages, WINDOW)
        result = meter.finish(setup.messages, {"mails/s": words_of(child.out)["rate"]}, child)
        path.stop()
        check_sink(sink, setup.messages + PRIME)
        return result


def durable_with_keys(setup):
    return durable(setup, keys=True)


def prove_durable(setup):
    """A count may hide one lost and one doubled: once, untimed, every mail by its Message-ID."""
    with Lab("bench") as lab, shown_on_failure(lab):
        sink = lab.sink()
        path = Path(lab, sink_profile(sink.port))
        path.send("producer", setup.messages, WINDOW)
        path.stop()
        check_identities([mail["id"] for mail in sink.mails()], setup.messages + PRIME)


def check_identities(ids, wanted):
    """The Message-ID is made of the request's id, so each is there once when nothing was doubled."""
    check(all(ids), "no result: a mail without Message-ID")
    check_equal(len(set(ids)), wanted, "no result: different mails that arrived")
    check_equal(len(ids), wanted, "no result: mails that arrived")


def durable_latency(setup):
    with Lab("bench") as lab, shown_on_failure(lab):
        sink = lab.smtp_sink()
        path = Path(lab, sink_profile(sink.port))
        meter = Meter([*path.servers, sink])
        child = path.send("producer", setup.messages, 1)
        said = words_of(child.out)
        result = meter.finish(setup.messages, {
            "receipt p50, ms": said["receipt_p50_ms"], "receipt p99, ms": said["receipt_p99_ms"],
            "final p50, ms": said["final_p50_ms"], "final p99, ms": said["final_p99_ms"]}, child)
        path.stop()
        check_sink(sink, setup.messages + PRIME)
        return result


def disk_latency(setup):
    """What the disk asks for one durable message: append its bytes, fdatasync."""
    with Lab("bench") as lab:
        times = []
        meter = Meter([])
        with open(lab.dir / "log", "ab", buffering=0) as file:
            for _ in range(setup.messages):
                start = time.monotonic()
                file.write(b"x" * SOURCE_MAIL)
                os.fdatasync(file.fileno())
                times.append((time.monotonic() - start) * 1000)
        times.sort()
        return meter.finish(setup.messages, {"receipt p50, ms": times[len(times) // 2],
                                             "receipt p99, ms": times[len(times) * 99 // 100]})


# --- Pickup folder


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


# --- Composing


def compose(setup):
    with Lab("bench") as lab, shown_on_failure(lab):
        meter = Meter([])
        child = run_child(lab, "compose_bench", [bench_program("compose_bench"), setup.messages])
        rows = re.findall(r"^(.+?)\s+\d+ bytes\s+([\d.]+) us", child.out, re.M)
        check_equal(len(rows), 4, "no result: kinds of mail that compose_bench told")
        result = meter.finish(setup.messages, {f"{name}, µs a mail": float(each) for name, each in rows}, child)
        result.cpu.clear()  # one process makes all four kinds: CPU a mail has no meaning
        return result


def smtp_row(connections):
    title = f"straight into smtp-sink, {connections} connection{'s' * (connections > 1)}"
    return Comparison("smtp", title, 20000, 1000,
                      (Side("smtp-source", smtp_source(connections)), Side("our engine alone", engine(connections))))


COMPARISONS = (
    smtp_row(1), smtp_row(10), smtp_row(50),
    Comparison("pipeline", f"into smtp-sink, {CONNECTIONS} connections", 20000, 1000,
               (Side("smtp-source", smtp_source(CONNECTIONS)), Side("our engine alone", engine(CONNECTIONS)),
                Side(f"durable: producer, broker, worker; {WINDOW} under way", durable)), prove_durable),
    Comparison("curve", f"keys on every socket, or none; into smtp-sink, {CONNECTIONS} connections", 20000, 500,
               (Side(f"durable, plain; {WINDOW} under way", durable),
                Side(f"durable, CURVE; {WINDOW} under way", durable_with_keys))),
    Comparison("latency", "one message at a time, into smtp-sink", 500, 50,
               (Side("the disk alone: append 4 KB, fdatasync", disk_latency),
                Side("durable: producer, broker, worker", durable_latency))),
    Comparison("compose", "composing, best of five passes each", 20000, 500, (Side("our composer", compose),)),
    Comparison("pickup", "into a fresh pickup folder", 5000, 300,
               (Side("the disk alone: 8 threads write, fsync, rename", plain_files),
                Side(f"durable: producer, broker, worker; {WINDOW} under way", durable_pickup))),
)


# --- Running and telling


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


def letter(index):
    return "abcdefgh"[index]


def measure(comparison, options):
    """Results of each side, round by round."""
    messages = options.messages or (comparison.quick_messages if options.quick else comparison.messages)
    setup = Setup(messages)
    if comparison.proof:
        comparison.proof(setup)
        say(f"{comparison.name}: every one of {messages} mails arrived once, by Message-ID")
    results = [[] for _ in comparison.sides]
    for number in range(options.rounds):
        for index, side in enumerate(comparison.sides):
            result = side.run(setup)
            results[index].append(result)
            figures = ", ".join(f"{name} {tell(value)}" for name, value in result.figures.items())
            say(f"{comparison.name} {number + 1}/{options.rounds} {letter(index)} {side.title}: {figures}")
    return messages, results


def tell(value):
    """Three digits that matter, no exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values):
    return f"{tell(min(values))}–{tell(max(values))}"


def figure_rows(comparison, results):
    rows = []
    for index, side in enumerate(comparison.sides):
        for name in results[index][0].figures:
            values = [result.figures[name] for result in results[index]]
            ratio = ""
            if index and name in results[0][0].figures:
                pairs = [own.figures[name] / first.figures[name] for own, first in zip(results[index], results[0])]
                ratio = f"{statistics.median(pairs):.2f} ({min(pairs):.2f}–{max(pairs):.2f})"
            rows.append((f"{letter(index)} {side.title}", name, tell(statistics.median(values)), spread(values), ratio))
    return rows


def cost_rows(comparison, results):
    rows = []
    for index, _ in enumerate(comparison.sides):
        runs = results[index]
        for name in runs[0].peak:
            user, system = ([run.cpu[name][part] for run in runs] if name in runs[0].cpu else [] for part in (0, 1))
            both = [one + other for one, other in zip(user, system)]
            rows.append((f"{letter(index)} {name}",
                         *(tell(statistics.median(values)) if values else "" for values in (user, system, both)),
                         f"{max(run.peak[name] for run in runs):.1f}"))
    return rows


def table(words, head, rows):
    """Markdown that can be read as it stands: the first columns are words, the others numbers, to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(row):
        cells = [cell.ljust(width) if i < words else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        return f"| {' | '.join(cells)} |"
    rule = [f"{'-' * (width + 1)}{'-' if i < words else ':'}" for i, width in enumerate(widths)]
    return [line(head), f"|{'|'.join(rule)}|", *(line(row) for row in rows)]


def report(comparison, messages, results):
    others = ", ".join(f"{letter(index)} {statistics.median(run.others for run in runs):.0%}"
                       for index, runs in enumerate(results))
    lines = [f"### {comparison.name}: {comparison.title}", "",
             f"{messages} messages, {len(results[0])} round{'s' * (len(results[0]) > 1)}. "
             f"Rest of the machine (kernel threads, other programs): {others} of all cores.", "",
             *table(2, ("side", "figure", "median", "min–max", "ratio to a"), figure_rows(comparison, results))]
    costs = cost_rows(comparison, results)
    if costs:
        lines += ["", *table(1, ("process", "user µs a message", "system µs", "both", "peak MB"), costs)]
    return lines + [""]


# --- The machine and the programs


def output_of(*argv):
    result = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else "unknown"


def text_of_call(library, function):
    call = getattr(ctypes.CDLL(library), function)
    call.restype = ctypes.c_char_p
    return call().decode()


def zmq_version():
    parts = [ctypes.c_int() for _ in range(3)]
    ctypes.CDLL("libzmq.so.5").zmq_version(*(ctypes.byref(part) for part in parts))
    return ".".join(str(part.value) for part in parts)


def cache_value(name):
    """A value of the build folder's CMakeCache.txt."""
    file = BUILD_DIR / "CMakeCache.txt"
    found = re.search(rf"^{name}:\w+=(.*)$", file.read_text("utf-8"), re.M) if file.is_file() else None
    return found.group(1) if found else ""


def revision():
    def git(*words):
        return output_of("git", "-C", str(SOURCE_DIR), *words)
    changed = git("status", "--porcelain", "--", ".", f":!{RESULTS.relative_to(SOURCE_DIR)}")
    return git("rev-parse", "--short=12", "HEAD") + (" with changes" if changed else "")


def machine_lines(options):
    cpu = re.search(r"^model name\s*:\s*(.+)$", pathlib.Path("/proc/cpuinfo").read_text("utf-8"), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text("utf-8"), re.M)
    uname = os.uname()
    sanitizers = cache_value("TPN_SANITIZE")
    command = " ".join(["run", *(word for word in sys.argv[1:] if word != "--given-build")])
    return [
        f"- revision {revision()}, build {cache_value('CMAKE_BUILD_TYPE') or 'of unknown type'}"
        + (", programs as found (--build)" if options.given_build else ", programs built now")
        + (f" with sanitizers {sanitizers}: NO RESULT" if sanitizers else ""),
        f"- {os.cpu_count()} cores ({len(os.sched_getaffinity(0))} for us), {cpu.group(1) if cpu else uname.machine}, "
        f"{int(memory.group(1)) / 2**20:.0f} GB; load before {os.getloadavg()[0]:.2f}",
        f"- {uname.sysname} {uname.release} {uname.machine}; scratch folder on "
        + " ".join(output_of("findmnt", "-no", "FSTYPE,OPTIONS", "-T", str(options.data)).split()),
        f"- {text_of_call('libcurl.so.4', 'curl_version').split()[0]}, "
        f"sqlite {text_of_call('libsqlite3.so.0', 'sqlite3_libversion')}, zmq {zmq_version()}, "
        f"postfix {output_of('/usr/sbin/postconf', '-h', 'mail_version')}",
        f"- log level {options.log_level}, command: {command}",
        "",
    ]


def append(path, lines):
    with open(path, "a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def read_options():
    names = list(dict.fromkeys(row.name for row in COMPARISONS))
    parser = argparse.ArgumentParser(prog="run", description="see the head of tests/bench/run")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(names)}; default: all")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--messages", type=int)
    parser.add_argument("--data", type=pathlib.Path, default=BUILD_DIR / "bench-scratch")
    parser.add_argument("--log-level", choices=("error", "warn", "info", "debug"), default="info")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--no-record", action="store_true")
    parser.add_argument("--given-build", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    unknown = sorted(set(options.names) - set(names))
    if unknown:
        parser.error(f"no such comparison: {', '.join(unknown)}; there are {', '.join(names)}")
    if options.rounds < 1 or (options.messages is not None and options.messages < 1):
        parser.error("--rounds and --messages are 1 and up")
    if options.list:
        for row in COMPARISONS:
            print(f"{row.name:10} {row.title}: {' | '.join(side.title for side in row.sides)}")
        sys.exit(0)
    return options


def compare_all(options):
    day = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    lines = [f"## {day}", "", *machine_lines(options)]
    print("\n".join(lines), flush=True)
    for comparison in COMPARISONS:
        if not options.names or comparison.name in options.names:
            part = report(comparison, *measure(comparison, options))
            print("\n".join(part), flush=True)
            lines += part
    return lines


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    options = read_options()
    os.environ["TPN_LOG_LEVEL"] = options.log_level
    if not os.access(SMTP_SOURCE, os.X_OK):
        raise Skip(f"{SMTP_SOURCE} is missing (package postfix)")
    options.data.mkdir(parents=True, exist_ok=True)
    options.data = options.data.resolve()
    tempfile.tempdir = str(options.data)
    try:
        lines = compare_all(options)
    finally:
        with contextlib.suppress(OSError):  # another run may be in it
            options.data.rmdir()
    if options.quick or options.no_record or cache_value("TPN_SANITIZE"):
        say("not recorded")
    else:
        append(options.results, lines)
        say(f"recorded in {options.results.name}")


if __name__ == "__main__":
    try:
        main()
    except Skip as reason:
        print(f"cannot run: {reason}", file=sys.stderr)
        sys.exit(EXIT_SKIPPED)
    except Failure as reason:
        print(f"FAILED: {reason}", file=sys.stderr)
        sys.exit(1)
