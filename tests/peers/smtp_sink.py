"""Postfix's own smtp-sink(1) as a process of a lab: the fastest server at hand, which only counts.

Its -c output, rewritten for each event, is the count: "sess=45 quit=45 mesg=46" and a carriage return.
"""
import os
import re

from tpn_harness import Failure, Process, Skip, free_port, port_answers, wait_until

PROGRAM = "/usr/sbin/smtp-sink"
TAIL_BYTES = 4096


class SmtpSink(Process):
    """smtp-sink -c on a loopback port; count() is the number of mails it took."""

    def __init__(self, lab):
        self.port = 0
        super().__init__(lab, "smtp-sink", [])

    def start(self):
        if not os.access(PROGRAM, os.X_OK):
            raise Skip(f"{PROGRAM} is missing (package postfix)")
        # smtp-sink cannot bind port 0 and tell; another process may take the port between probe and bind.
        for _ in range(5):
            self.port = free_port()
            user = ["-u", "nobody"] if os.geteuid() == 0 else []
            self.argv = [PROGRAM, "-c", *user, f"127.0.0.1:{self.port}", "1024"]
            super().start()
            wait_until(lambda: port_answers(self.port) or not self.alive(), "smtp-sink to listen")
            if self.alive():
                return self
        raise Failure(f"smtp-sink does not start:\n{self.text()}")

    def count(self):
        """Mails taken so far. The last words tell; there is a line for each event, and somebody may ask often."""
        if not self.log.exists():
            return 0
        with open(self.log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            figures = re.findall(rb"mesg=(\d+)\s", file.read())
        return int(figures[-1]) if figures else 0
