"""A disk that stands still: the broker takes so many requests, or so many bytes, into its memory and no more; who comes after
that hears BUSY with a time and the reason. When the disk goes on, nothing that was accepted is lost, and what was told to wait
is accepted."""
import collections
import pathlib

import zmq

from tpn_harness import check, check_equal, run, smtp_profile, wait_until
from tpn_stage import GatedBroker

MIB = 1024 * 1024
MOST_REQUESTS = 20000     # MAX_DEPTH_OPS of gate.c
MOST_BYTES = 128 * MIB    # MAX_WAITING_BYTES
EACH = 4 * MIB
ROOM_OF_ONE = 6144        # memory of a small request that waits: its bytes, its row, its event
REASON = "too many requests wait for the disk"


def resident(process):
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


class Disk:
    """A broker on it, and what its producer heard."""

    def __init__(self, lab):
        self.lab = lab
        self.broker = lab.add(GatedBroker(lab, {"lab": smtp_profile(9)})).start()
        self.link = lab.pipeline(self.broker)
        self.receipts = collections.Counter()
        self.accepted = set()
        self.busy = []

    def send(self, request):
        self.link.socket.send_multipart([b"TPN1.SUBMIT", request])

    def hear(self, wait_ms):
        """Take the receipts that come until nothing comes for wait_ms."""
        pb = self.lab.pb
        while self.link.socket.poll(wait_ms, zmq.POLLIN):
            verb, body = self.link.socket.recv_multipart()
            check_equal(verb, b"TPN1.RECEIPT", "the answer")
            receipt = pb.Receipt.FromString(body)
            word = pb.ReceiptStatus.Name(receipt.status).rpartition("_")[2]
            self.receipts[word] += 1
            if word == "BUSY":
                self.busy.append(receipt)
            elif word in ("ACCEPTED", "DUPLICATE"):
                self.accepted.add(receipt.id)

    def flood(self, requests, room):
        """Requests that come while the disk stands still; BUSY must come before the last of them."""
        before = resident(self.broker)
        for request in requests:
            self.send(request)
        wait_until(lambda: self.hear(200) or self.busy, "BUSY", 60)
        self.hear(1000)
        grown = resident(self.broker) - before
        print(f"#   {dict(self.receipts)}, the broker grew by {grown // MIB} MiB")
        check(grown < room, f"the broker grew by {grown // MIB} MiB, more than {room // MIB}")
        check(all(receipt.retry_after_ms > 0 for receipt in self.busy), "BUSY without a time")
        check_equal({receipt.reason for receipt in self.busy}, {REASON}, "reasons")

    def settle(self, requests):
        """What heard BUSY is sent again, until everything is accepted, each once; and it is on the disk."""
        self.broker.go_on()

        def all_accepted():
            self.hear(500)
            for receipt in self.busy:
                if receipt.id not in self.accepted:
                    self.send(requests[receipt.id])
            self.busy.clear()
            return len(self.accepted) == len(requests)
        wait_until(all_accepted, "every request to be accepted", 120)
        self.broker.kill()
        self.broker.start()
        publisher = self.lab.publisher(self.broker)
        known = 0
        ids = list(requests)
        for start in range(0, len(ids), 1000):
            known += sum(answer.state == self.lab.pb.STATE_ACCEPTED for answer in publisher.query(ids[start:start + 1000]))
        check_equal(known, len(requests), "requests after a kill of the broker")


def packed(requests):
    return {request.id: request.SerializeToString() for request in requests}


def test_so_many_requests_wait_for_the_disk(lab):
    disk = Disk(lab)
    requests = packed(lab.request(f"r{n}") for n in range(MOST_REQUESTS + 2000))
    disk.broker.stand_still()
    disk.flood(requests.values(), (MOST_REQUESTS + 2000) * ROOM_OF_ONE)
    disk.settle(requests)


def test_so_many_bytes_wait_for_the_disk(lab):
    disk = Disk(lab)
    requests = {}
    for number in range(MOST_BYTES // EACH + 10):
        request = lab.request(f"r{number}")
        request.message.attachments.add(file_name="report.bin", content_type="application/octet-stream", content=bytes(EACH))
        requests.update(packed([request]))
    disk.broker.stand_still()
    disk.flood(requests.values(), MOST_BYTES + 16 * EACH)
    disk.settle(requests)


def test_requests_of_one_key_do_not_wait_without_a_bound(lab):
    """Each waits for the one before it (supersede.c), not for the disk."""
    disk = Disk(lab)
    requests = packed(lab.request(f"r{n}", supersede_key="asset 4711") for n in range(MOST_REQUESTS + 2000))
    disk.broker.stand_still()
    disk.flood(requests.values(), (MOST_REQUESTS + 2000) * ROOM_OF_ONE)
    disk.broker.kill()


run(globals())
