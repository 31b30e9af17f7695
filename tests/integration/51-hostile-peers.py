"""Peers that connect and say nothing, send a byte now and then, send rubbish, announce what is too large, flood, or never read: the
broker's memory stays bounded, others are served meanwhile, and `tpn status` tells of it."""
import contextlib
import pathlib
import socket
import time

import zmq

import tpn_wire
from tpn_harness import SLOW, check, check_equal, pickup_profile, run, sanitized, wait_until
from tpn_keys import House

MIB = 1024 * 1024
SILENT = 100  # connections to each of four sockets
SOCKETS = ("submit", "work", "status", "admin")
HANDSHAKE_S = 5  # ZMQ_HANDSHAKE_IVL of the broker
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)  # RFC 23/ZMTP


def address(broker, name):
    host, port = broker.endpoints[name].removeprefix("tcp://").rsplit(":", 1)
    return host, int(port)


def resident(process):
    """Bytes in memory. Source: proc(5), VmRSS."""
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


class Watch:
    """An honest producer beside the hostile ones, and the broker's memory."""

    def __init__(self, lab, broker, link, limit=48 * MIB):
        self.lab, self.broker, self.link = lab, broker, link
        self.limit, self.count = limit, 0
        for _ in range(20):
            self.serve()  # what the first requests allocate stays
        self.before = resident(broker)

    def serve(self):
        """One request gets its receipt in a moment."""
        self.count += 1
        started = time.monotonic()
        got = self.link.submit(self.lab.request(f"honest-{self.count}"))
        check_equal(got.status, self.lab.pb.RECEIPT_STATUS_ACCEPTED, f"the honest producer: {got}")
        check(time.monotonic() - started < 2 * SLOW, f"the honest producer waited {time.monotonic() - started:.1f} s")

    def look(self, what):
        self.serve()
        grown = resident(self.broker) - self.before
        check(grown < self.limit or sanitized(), f"{what}: the broker grew by {grown // MIB} MiB")


def join(broker, name, first=b""):
    link = socket.create_connection(address(broker, name), 5)
    if first:
        link.sendall(first)
    link.setblocking(False)
    return link


def closed(link):
    """Has the broker closed it? What it says before is read and dropped."""
    try:
        while True:
            if link.recv(4096) == b"":
                return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_who_says_nothing_or_too_little_is_cut_off(lab):
    """Before the handshake is over: silent, a byte a second, rubbish. At a broker with keys."""
    house = House(lab)
    watch = Watch(lab, house.broker, house.publisher("trackpro"))
    with contextlib.ExitStack() as stack:
        links = [stack.enter_context(join(house.broker, name)) for name in SOCKETS for _ in range(SILENT)]
        slow = [stack.enter_context(join(house.broker, name)) for name in SOCKETS for _ in range(5)]
        rubbish = [stack.enter_context(join(house.broker, name, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 50)) for name in SOCKETS]
        wait_until(lambda: all(closed(link) for link in rubbish), "rubbish to be cut off")
        started = time.monotonic()
        for byte in GREETING[:12]:
            for link in slow:
                with contextlib.suppress(OSError):
                    link.send(bytes([byte]))
            watch.look("silent and slow peers")
            time.sleep(0.5)  # this is the attack, not a wait
        wait_until(lambda: all(closed(link) for link in links + slow), "the silent and the slow to be cut off",
                   HANDSHAKE_S + 10)
        check(time.monotonic() - started >= 0, "time goes on")
    house.counted("handshakes_failed", len(links) + len(slow))
    status = lab.tpn(house.broker, "status", *house.ring.flags("ann"))
    check("handshakes that ended early" in status.stdout, f"status says: {status.stdout}")
    watch.look("after all of them")


def ready(kind):
    name = b"\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind
    body = b"\x05READY" + name
    return b"\x04" + bytes([len(body)]) + body


def test_who_announces_too_much_is_cut_off(lab):
    """A frame larger than its socket takes, by its header alone; one that fits, and never comes, takes no memory."""
    broker = lab.broker({"lab": pickup_profile(lab.folder("pickup"))})
    watch = Watch(lab, broker, lab.publisher(broker))
    largest = {"submit": 64 * MIB, "work": 64 * MIB, "status": 4096, "admin": 8 * MIB}
    with contextlib.ExitStack() as stack:
        waiting = []
        for name, size in largest.items():
            hello = GREETING + ready(b"SUB" if name == "status" else b"DEALER")
            cut = stack.enter_context(join(broker, name, hello + b"\x02" + (size + 1).to_bytes(8, "big")))
            wait_until(lambda link=cut: closed(link), f"the {name} socket to cut off a frame of {size + 1} bytes")
            waiting += [stack.enter_context(join(broker, name, hello + b"\x02" + size.to_bytes(8, "big") + b"x"))
                        for _ in range(20)]
        watch.look("eighty frames that were announced and do not come")
        check(not any(closed(link) for link in waiting), "a frame that fits is waited for")


def test_a_flood_that_is_never_read_harms_nobody(lab):
    """Nonsense, questions and subscriptions as fast as they go, with no answer taken."""
    house = House(lab)
    watch = Watch(lab, house.broker, house.publisher("other"), 96 * MIB)
    context = zmq.Context()
    sockets = []
    for name, kind in (("submit", zmq.DEALER), ("submit", zmq.DEALER), ("status", zmq.SUB)):
        link = context.socket(kind)
        link.setsockopt(zmq.LINGER, 0)
        link.setsockopt(zmq.RCVHWM, 1)
        house.ring.curve("trackpro")(link)
        link.connect(house.broker.endpoints[name])
        sockets.append(link)
    question = lab.pb.Query(ids=[f"no-{i}" for i in range(100)]).SerializeToString()
    sent = 0
    until = time.monotonic() + 5
    try:
        while time.monotonic() < until:
            for link, frames in ((sockets[0], [b"TPN1.NONSENSE", b"x" * 1000]), (sockets[1], [b"TPN1.QUERY", question])):
                with contextlib.suppress(zmq.Again):
                    for _ in range(50):
                        link.send_multipart(frames, zmq.DONTWAIT)
                        sent += 1
            for i in range(20):
                sockets[2].setsockopt(zmq.SUBSCRIBE, b"tpn1.trackpro.%d" % (sent + i))
            watch.look(f"a flood of {sent} messages")
        check(sent > 1000, f"only {sent} messages were sent")
    finally:
        context.destroy(linger=0)
    house.counted("refused_messages", 100)
    house.counted("refused_by_rate", 1)
    watch.look("after the flood")
    told = [line for line in house.broker.text().splitlines() if " refused " in line]
    check(any("unknown verb" in line for line in told), "the log says what it was")
    check(len(told) < 50, f"{len(told)} lines in the log about {sent} messages")


def test_a_connection_of_many_others_is_no_way_around(lab):
    """A routing id that is in use is refused to a second connection, so answers cannot be taken away."""
    house = House(lab)
    mine = tpn_wire.zmq.Context()
    link = mine.socket(zmq.DEALER)
    thief = mine.socket(zmq.DEALER)
    request = lab.request("mine").SerializeToString()
    try:
        for peer, name in ((link, "trackpro"), (thief, "other")):
            peer.setsockopt(zmq.LINGER, 0)
            peer.setsockopt(zmq.ROUTING_ID, b"well-known")
            house.ring.curve(name)(peer)
            peer.connect(house.broker.endpoints["submit"])
            if peer is link:
                peer.send_multipart([b"TPN1.SUBMIT", request])
                check(peer.poll(20000 * SLOW), "the first with that id is answered")
                peer.recv_multipart()
        thief.send_multipart([b"TPN1.QUERY", lab.pb.Query(ids=["mine"]).SerializeToString()])
        link.send_multipart([b"TPN1.SUBMIT", request])
        check(link.poll(20000 * SLOW), "the first is still answered")
        check_equal(lab.pb.Receipt.FromString(link.recv_multipart()[1]).status, lab.pb.RECEIPT_STATUS_DUPLICATE, "its answer")
        check(not thief.poll(500), "the second with that id hears something")
    finally:
        mine.destroy(linger=0)


if __name__ == "__main__":
    run(globals())
