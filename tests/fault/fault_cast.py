"""The processes of a run and what can be done to them: kill, stop, end, start again; and whether one died by itself."""
import pathlib
import signal
import sys
import time

import tpn_harness
from tpn_harness import Process, check, wait_until

HERE = pathlib.Path(__file__).resolve().parent
LEAVE_S = 40.0  # from SIGTERM to the end
# libzmq 4.3.4 ends the process when a connection of a ZMQ_IMMEDIATE socket breaks inside a message (ARCHITECTURE.md):
# told apart by its own words, so that no abort of ours passes for it.
LIBZMQ_ABORT = "Assertion failed: !_more (src/fq.cpp"


class Actor:
    """A process with its part in the run: up, down, stopped or leaving."""

    def __init__(self, process, kind):
        self.process = process
        self.kind = kind
        self.state = "up"
        self.leave_by = 0.0

    @property
    def name(self):
        return self.process.name

    def start(self):
        Process.start(self.process)  # without the wait of the harness: the others go on meanwhile
        self.state = "up"

    def kill(self):
        self.process.kill()
        self.state = "down"

    def stop(self):
        self.process.child.send_signal(signal.SIGSTOP)
        self.state = "stopped"

    def go_on(self):
        self.process.child.send_signal(signal.SIGCONT)
        self.state = "up"

    def leave(self):
        self.process.child.terminate()
        self.state = "leaving"
        self.leave_by = time.monotonic() + LEAVE_S * tpn_harness.SLOW

    def gone(self):
        """It left: True once. An exit status that is not 0, or none in time, is told as text."""
        code = self.process.child.poll()
        if code is None:
            return f"{self.name} did not end on SIGTERM" if time.monotonic() > self.leave_by else False
        self.state = "down"
        return True if code == 0 else f"{self.name} ended with status {code} on SIGTERM"

    def death(self):
        """A process that ended and was not asked to: why, else None."""
        if self.state not in ("up", "stopped") or self.process.child.poll() is None:
            return None
        self.state = "down"
        last = self.process.text().strip().splitlines()[-3:]
        return f"{self.name} ended by itself with status {self.process.child.returncode}: {' | '.join(last)}"


class FaultSink(Process):
    """A mail server of tests/peers/fault_sink.py."""

    def __init__(self, lab, name, seed):
        self.records = lab.dir / f"{name}.records"
        self.mode = lab.dir / f"{name}.mode"
        self.port_file = lab.dir / f"{name}.port"
        self.seed = seed
        self.port = 0
        super().__init__(lab, name, [])
        self.use(0)

    def use(self, port):
        self.argv = [str(word) for word in (
            sys.executable, tpn_harness.SOURCE_DIR / "tests" / "peers" / "fault_sink.py", "--records", self.records,
            "--port-file", self.port_file, "--mode", self.mode, "--port", port, "--seed", self.seed)]

    def start(self):
        super().start()
        wait_until(lambda: self.port_file.exists() or not self.alive(), f"{self.name} to listen")
        check(self.alive(), f"{self.name} did not start")
        self.port = int(self.port_file.read_text("ascii"))
        self.use(self.port)  # a restart listens there again
        return self

    def set_fault(self, fault, chance):
        tpn_harness.write_yaml(self.mode, {"fault": fault, "chance": chance})


def make_producer(lab, broker, name, seed, rate):
    words = [sys.executable, HERE / "fault_producer.py", "--name", name, "--seed", seed, "--submit",
             broker.endpoints["submit"], "--journal", lab.dir / f"{name}.journal", "--rate", rate, "--stop",
             lab.dir / "producers.stop"]
    path = f"{HERE}:{tpn_harness.SOURCE_DIR / 'tests' / 'support'}"
    return Process(lab, name, words, env={"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"})
