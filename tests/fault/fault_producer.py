"""A producer as TrackPro is one: notes what it is about to submit, submits, sends again what got no receipt, and is not
confused by its own death. Its journal has a line for each step:

    S number base_ms    about to submit request `number`
    R number STATUS     the receipt that ended it

    fault_producer.py --name p1 --seed N --submit ENDPOINT --journal FILE --rate R --stop FILE

When --stop exists it submits nothing new and ends with 0 as soon as everything has its receipt."""
import argparse
import os
import pathlib
import random
import tempfile
import time

import tpn_wire
from fault_requests import request_of, spec_of

RESEND_S = 3.0
OPEN_MAX = 2000  # without a receipt; then it waits


class Journal:
    """What was noted by this process and the killed ones before it."""

    def __init__(self, path):
        self.path = path
        self.open = {}  # number -> base_ms
        self.next = 0
        for word, number, rest in read_journal(path):
            if word == "S":
                self.open[number] = int(rest)
                self.next = max(self.next, number + 1)
            else:
                self.open.pop(number, None)
        self.file = open(path, "ab", buffering=0)  # pylint: disable=consider-using-with

    def note(self, word, number, rest):
        self.file.write(f"{word} {number} {rest}\n".encode())


def read_journal(path):
    """(word, number, rest) of each whole line; a kill may have cut the last one."""
    text = pathlib.Path(path).read_text("ascii") if pathlib.Path(path).exists() else ""
    for line in text[:text.rfind("\n") + 1].splitlines():
        word, number, rest = line.split(" ")
        yield word, int(number), rest


class Producer:
    """The loop."""

    def __init__(self, options):
        self.options = options
        self.folder = tempfile.TemporaryDirectory(prefix="tpn-pb-")
        self.pb = tpn_wire.load_protocol(self.folder.name)
        self.journal = Journal(options.journal)
        self.link = tpn_wire.Pipeline(self.pb, options.submit)
        self.dice = random.Random()  # what it adds of its own: repetitions and forgeries
        self.resend_at = time.monotonic() + RESEND_S
        for number, base_ms in self.journal.open.items():
            self.link.send(request_of(self.pb, self.spec(number, base_ms)))

    def spec(self, number, base_ms):
        return spec_of(self.options.seed, self.options.name, number, base_ms)

    def submit_new(self):
        number, self.journal.next = self.journal.next, self.journal.next + 1
        base_ms = int(time.time() * 1000)
        self.journal.open[number] = base_ms
        self.journal.note("S", number, base_ms)
        self.link.send(request_of(self.pb, self.spec(number, base_ms)))

    def collect(self, wait_ms):
        self.link.collect(wait_ms)
        for request_id, receipt in self.link.receipts.items():
            number = int(request_id.rpartition("-")[2])
            base_ms = self.journal.open.pop(number)
            self.journal.note("R", number, self.pb.ReceiptStatus.Name(receipt.status).rpartition("_")[2])
            self.tease(self.spec(number, base_ms))
        self.link.receipts.clear()

    def tease(self, spec):
        """It has its receipt: the same once more is a duplicate, another content under its id is refused."""
        draw = self.dice.random()
        if draw < 0.04:
            request = request_of(self.pb, spec, forged=draw < 0.015)
            self.link.socket.send_multipart([b"TPN1.SUBMIT", request.SerializeToString()])

    def run(self):
        stop = pathlib.Path(self.options.stop)
        due = time.monotonic()
        while True:
            now = time.monotonic()
            stopping = stop.exists()
            if stopping and not self.journal.open:
                return
            while not stopping and due <= now and len(self.journal.open) < OPEN_MAX:
                self.submit_new()
                due += 1 / self.options.rate
            due = max(due, now - 1)  # what a stop or a busy broker held up is not made up for
            self.collect(20)
            if now > self.resend_at:
                self.link.resend_open()
                self.resend_at = now + RESEND_S


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--submit", required=True)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--rate", type=float, default=30)
    parser.add_argument("--stop", required=True)
    Producer(parser.parse_args()).run()
    os._exit(0)  # what libzmq still holds are repetitions


if __name__ == "__main__":
    main()
