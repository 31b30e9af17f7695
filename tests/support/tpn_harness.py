"""Real processes, real sockets: what the integration tests start, wait for and look at.

A Lab owns one scratch folder and everything started in it: broker, workers, mail servers. All ports are on
loopback and chosen by the kernel. Nothing here sleeps to be right: every wait is for a condition and has an end.
Output of every process goes to a file in the scratch folder and is shown when a test fails.

Environment: TPN_BUILD_DIR where the programs are; TPN_SLOW a factor for time limits (sanitizers, busy machines);
TPN_KEEP=1 leaves the scratch folders. A test file ends in `run(globals())`; arguments name the tests to run.
"""
import contextlib
import ctypes
import email
import email.policy
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

import tpn_wire
from tpn_wire import SLOW

sys.path.insert(0, str(tpn_wire.SOURCE_DIR / "tests" / "peers"))

SOURCE_DIR = tpn_wire.SOURCE_DIR
BUILD_DIR = pathlib.Path(os.environ.get("TPN_BUILD_DIR", SOURCE_DIR / "build" / "dev"))
EXIT_SKIPPED = 77  # SKIP_RETURN_CODE of the ctests
PROGRAM_DIRS = {"tpn-broker": "transport/broker", "tpn-worker": "worker", "tpn": "producer",
                "tpn-monitor": "monitor"}


class Failure(AssertionError):
    """A test found what it must not find."""


class Skip(Exception):
    """This machine cannot run the test; the text says what is missing."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def check_equal(got, wanted, what):
    if got != wanted:
        raise Failure(f"{what}: got {got!r}, wanted {wanted!r}")


def wait_until(condition, what, timeout_s=20.0, every_s=0.05):
    """Until condition() is true; returns its value. Asks often at first, for most is there at once; then every every_s."""
    deadline = time.monotonic() + timeout_s * SLOW
    pause_s = every_s / 16
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"waited {timeout_s * SLOW:g} s for {what}")
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, every_s)


def free_port():
    """A port that the kernel chose. For programs that cannot bind port 0 and report it: callers try again."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def port_answers(port):
    with contextlib.closing(socket.socket()) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def find_program(name):
    for candidate in (BUILD_DIR / PROGRAM_DIRS.get(name, "tests") / name, BUILD_DIR / name,
                      BUILD_DIR / "bin" / name):
        if candidate.is_file():
            return str(candidate)
    for candidate in BUILD_DIR.rglob(name):
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    raise Failure(f"{name} is not built below {BUILD_DIR}")


def sanitized():
    """Are the programs built with a sanitizer? It keeps freed memory, and takes no library in front of its own (LD_PRELOAD)."""
    program = pathlib.Path(find_program("tpn-broker")).read_bytes()
    return b"__asan_init" in program or b"__tsan_init" in program


def die_with_parent():
    """PR_SET_PDEATHSIG (1) with SIGKILL: a killed test leaves no process behind. Source: prctl(2)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Process:
    """A program of the lab, its output in a file."""

    def __init__(self, lab, name, argv, env=None):
        self.lab = lab
        self.name = name
        self.argv = [str(word) for word in argv]
        self.env = {**os.environ, **(env or {})}
        self.log = lab.dir / f"{name}.log"
        self.child = None

    def start(self):
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          env=self.env, cwd=self.lab.dir, preexec_fn=die_with_parent)
        return self

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def stop(self, timeout_s=20.0):
        """SIGTERM and wait; returns the exit status. One that does not go is a failure."""
        if not self.alive():
            return self.child.returncode if self.child else 0
        self.child.terminate()
        try:
            return self.child.wait(timeout_s * SLOW)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"{self.name} did not stop within {timeout_s * SLOW:g} s of SIGTERM") from None

    def kill(self):
        """kill -9."""
        if self.alive():
            self.child.kill()
            self.child.wait()

    def text(self):
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""


class Broker(Process):
    """tpn-broker with its own data folder. A restart listens on the same ports as before."""

    def __init__(self, lab, profiles, config=None, name="broker"):
        self.folder = lab.dir / name
        self.folder.mkdir(exist_ok=True)
        self.profiles_file = self.folder / "profiles.yaml"
        self.config_file = self.folder / "broker.yaml"
        self.endpoints_file = self.folder / "endpoints"
        self.data = self.folder / "data"
        self.data.mkdir(exist_ok=True)
        self.endpoints = {}
        self.write_profiles(profiles)
        write_yaml(self.config_file, config or {})
        super().__init__(lab, name, [])

    def write_profiles(self, profiles, **more):
        """more: other keys of the file, as expectations."""
        write_yaml(self.profiles_file, {"profiles": profiles, **more})

    def command(self):
        words = [find_program("tpn-broker"), "--config", self.config_file, "--profiles",
                 self.profiles_file, "--data", self.data, "--endpoints-file", self.endpoints_file,
                 "--log-level", os.environ.get("TPN_LOG_LEVEL", "info")]
        for role in ("submit", "work", "status", "admin"):
            words += [f"--{role}", self.endpoints.get(role, "tcp://127.0.0.1:*")]
        return [str(word) for word in words]

    def start(self):
        self.argv = self.command()
        with contextlib.suppress(FileNotFoundError):
            self.endpoints_file.unlink()
        super().start()
        wait_until(self.listening, f"{self.name} to listen", 30)
        return self

    def listening(self):
        check(self.alive(), f"{self.name} ended at start with status {self.child.returncode}")
        if not self.endpoints_file.exists():
            return False
        words = [line.split() for line in self.endpoints_file.read_text().splitlines()]
        found = {pair[0]: pair[1] for pair in words if len(pair) == 2}
        if not {"submit", "work", "status", "admin"} <= set(found):
            return False
        self.endpoints = found
        return True


class Worker(Process):
    """tpn-worker, joined to one broker."""

    def __init__(self, lab, broker, name, roots=(), jobs=None, wrap=(), config=None):
        words = [*wrap, find_program("tpn-worker"), "--broker", broker.endpoints["work"], "--name",
                 name, "--log-level", os.environ.get("TPN_LOG_LEVEL", "info")]
        if config is not None:
            file = lab.dir / f"{name}.yaml"
            write_yaml(file, config)
            words += ["--config", file]
        for root in roots:
            words += ["--pickup-root", root]
        if jobs:
            words += ["--jobs", jobs]
        super().__init__(lab, name, words)

    def start(self):
        """Until it has said that it started: from there on SIGTERM means "drain"."""
        said = self.text().count(" start name=")
        super().start()
        wait_until(lambda: self.text().count(" start name=") > said or not self.alive(), f"{self.name} to start")
        check(self.alive(), f"{self.name} ended at start with status {self.child.returncode}")
        return self


class Lab(contextlib.ExitStack):
    """One test's scratch folder, processes and sockets; leaving it ends and removes them."""

    def __init__(self, title):
        super().__init__()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"tpn-{title}-"))
        self.dir.chmod(0o755)  # mail servers drop to other users and must reach their folders
        self.processes = []
        self.protocol = None
        self.callback(self.remove)

    def remove(self):
        if not os.environ.get("TPN_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)

    @property
    def pb(self):
        if self.protocol is None:
            self.protocol = protocol()
        return self.protocol

    def add(self, process):
        """Take a process: it is killed when the lab ends, if it still runs."""
        self.processes.append(process)
        self.callback(process.kill)
        return process

    def broker(self, profiles, config=None, name="broker"):
        return self.add(Broker(self, profiles, config, name)).start()

    def worker(self, broker, name="w1", **more):
        return self.add(Worker(self, broker, name, **more)).start()

    def sink(self, *options):
        """The recording sink; its .port, .mails() and .count()."""
        import recording_sink
        return self.add(recording_sink.Sink(self, options)).start()

    def smtp_sink(self):
        import smtp_sink
        return self.add(smtp_sink.SmtpSink(self)).start()

    def postfix(self, **more):
        import postfix_peer
        return self.add(postfix_peer.Postfix(self, **more)).start()

    def faultd(self, mode="plain", **more):
        import faultd
        return self.enter_context(faultd.FaultServer(mode, **more))

    def publisher(self, broker):
        return self.enter_context(contextlib.closing(
            tpn_wire.Publisher(self.pb, broker.endpoints["submit"])))

    def pipeline(self, broker):
        return self.enter_context(contextlib.closing(
            tpn_wire.Pipeline(self.pb, broker.endpoints["submit"])))

    def follower(self, broker, prefix="tpn1."):
        return self.enter_context(contextlib.closing(
            tpn_wire.Follower(self.pb, broker.endpoints["status"], prefix)))

    def folder(self, name):
        path = self.dir / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def tpn(self, broker, *words, timeout_s=60.0, program="tpn"):
        """Run the tpn command to its end; returns CompletedProcess with text output."""
        env = {**os.environ, "TPN_SUBMIT": broker.endpoints["submit"],
               "TPN_STATUS": broker.endpoints["status"], "TPN_ADMIN": broker.endpoints["admin"]}
        argv = [find_program(program), *(str(word) for word in words)]
        result = subprocess.run(argv, env=env, cwd=self.dir, stdin=subprocess.DEVNULL, text=True,
                                capture_output=True, timeout=timeout_s * SLOW, check=False)
        with open(self.dir / "tpn.log", "a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(argv)}\n{result.stdout}{result.stderr}exit {result.returncode}\n")
        return result

    def request(self, request_id, to=("ann@example.test",), profile="lab", **fields):
        """A small NotificationRequest; fields overwrite those of the request."""
        pb = self.pb
        message = pb.Message(subject=f"Due: {request_id}", text="Your item is due.\n")
        getattr(message, "from").address = "trackpro@example.test"
        for address in to:
            message.to.add(address=address)
        return pb.NotificationRequest(id=request_id, profile=profile, message=message, **fields)

    def stop_all(self):
        """The end of a good test: what still runs stops cleanly, workers before brokers."""
        for kind in (Worker, Broker):
            for process in self.processes:
                if isinstance(process, kind) and process.alive():
                    check_equal(process.stop(), 0, f"exit status of {process.name}")

    def show_logs(self, lines=40):
        for log in sorted(self.dir.glob("*.log")):
            tail = log.read_text("utf-8", "replace").splitlines()[-lines:]
            print(f"# --- {log.name} (last {len(tail)} lines)")
            for line in tail:
                print(f"#   {line}")


_shared_protocol = []


def protocol():
    """The protobuf modules, generated once a test program."""
    if not _shared_protocol:
        folder = tempfile.TemporaryDirectory(prefix="tpn-pb-")
        _shared_protocol.extend((tpn_wire.load_protocol(folder.name), folder))
    return _shared_protocol[0]


def write_yaml(path, tree):
    """JSON is YAML; a new file takes the old one's place whole, for a broker that may read at any time."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(tree, indent=2, default=str) + "\n", encoding="utf-8")
    part.replace(path)


def smtp_profile(port, **more):
    """A profile that delivers to a server of the lab, without TLS."""
    return {"smtp_server": "127.0.0.1", "smtp_port": port, "use_tls": False, **more}


def pickup_profile(folder, **more):
    return {"smtp_server": str(folder), "use_pickup_folder": True, **more}


def parse_mail(data):
    """Parse one mail strictly: any defect anywhere in it is a failure."""
    mail = email.message_from_bytes(data, policy=email.policy.default)
    for part in mail.walk():
        check(not part.defects, f"defects in {part.get_content_type()}: {part.defects}")
        for name, value in part.items():
            # filename and filename* together, for old and new readers, count as a duplicate here.
            defects = [defect for defect in value.defects if "duplicate" not in str(defect)]
            check(not defects, f"defects in header {name}: {defects}")
    return mail


def check_bytes_of_mail(data, name):
    """What every back end promises: CRLF only, 7-bit, short lines."""
    check(b"\n" not in data.replace(b"\r\n", b"") and b"\r" not in data.replace(b"\r\n", b""),
          f"{name}: a bare CR or LF")
    check(all(byte < 128 and byte != 0 for byte in data), f"{name}: a byte that is not 7-bit")
    longest = max(len(line) for line in data.split(b"\r\n"))
    check(longest <= 998, f"{name}: a line of {longest} bytes (RFC 5322 2.1.1)")


def run(scope):
    """Run every test_* of the caller in order; exit 1 when one failed, 77 when all were skipped."""
    sys.stdout.reconfigure(line_buffering=True)
    wanted = sys.argv[1:]
    tests = [(name, fn) for name, fn in scope.items() if name.startswith("test_") and callable(fn)]
    failed = skipped = ran = 0
    for name, test in tests:
        if wanted and not any(word in name for word in wanted):
            continue
        ran += 1
        started = time.monotonic()
        with Lab(name.removeprefix("test_")[:24]) as lab:
            try:
                test(lab)
                lab.stop_all()
                print(f"ok {ran} - {name} ({time.monotonic() - started:.1f} s)")
            except Skip as reason:
                skipped += 1
                print(f"ok {ran} - {name} # SKIP {reason}")
            except Exception:  # pylint: disable=broad-except
                failed += 1
                print(f"not ok {ran} - {name}")
                print("\n".join(f"# {line}" for line in traceback.format_exc().splitlines()))
                lab.show_logs()
    print(f"1..{ran}")
    if ran == 0:
        sys.exit("no such test")
    sys.exit(1 if failed else EXIT_SKIPPED if skipped == ran else 0)
