"""fast_sink as a process of a lab: the server of those rows for which smtp-sink has no TLS, no milliseconds, or no speed."""
import os
import re
import socket

from bench_meter import bench_program
from postfix_peer import Authority
from tpn_harness import Process, check, check_equal, wait_until

# Sender and sink each on a core of its own: left alone, the kernel often puts both on one, for each wakes the other.
CORES = sorted(os.sched_getaffinity(0))
SENDER_CORE, SINK_CORE = (("/usr/bin/taskset", "-c", core) if len(CORES) > 1 else () for core in (CORES[0], CORES[-1]))


class FastSink(Process):
    """.port; .ca with TLS. delay_ms is that of every answer; tls "starttls" or "implicit"; pin: on SINK_CORE."""

    def __init__(self, lab, delay_ms=0, tls="", pin=False):
        self.port = self.stats = 0
        self.ca = ""
        words = [*(SINK_CORE if pin else ()), bench_program("fast_sink"), "-d", delay_ms]
        if tls:
            authority = Authority(lab.dir)
            authority.make("fast-sink", "IP:127.0.0.1")
            self.ca = authority.certificate
            words += ["-t", tls, "-c", lab.dir / "fast-sink.pem", "-k", lab.dir / "fast-sink.key"]
        super().__init__(lab, "fast-sink", words)

    def start(self):
        super().start()
        said = wait_until(lambda: re.search(r"port=(\d+) stats=(\d+)\n", self.text()) or not self.alive(),
                          "fast_sink to listen", every_s=0.01)
        check(self.alive(), f"fast_sink ended: {self.text()}")
        self.port, self.stats = (int(word) for word in said.groups())
        return self

    def tally(self):
        """{"mails": 1000, "different": 1000, "recipients": …, "bytes": …, "connections": …, "open": …, "most": …}"""
        with socket.create_connection(("127.0.0.1", self.stats), timeout=20) as link:
            text = link.makefile("r", encoding="ascii").readline()
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", text)}

    def check_mails(self, wanted, recipients=1):
        """Each exactly once, by its Message-ID. What was not answered before the senders ended has not come."""
        tally = self.tally()
        check_equal(tally["mails"], wanted, "no result: mails that fast_sink counted")
        check_equal(tally["different"], wanted, "no result: different mails")
        check_equal(tally["recipients"], wanted * recipients, "no result: recipients")


def start_sink(lab, **more):
    return lab.add(FastSink(lab, **more)).start()
