"""Keys for a lab: pairs made by `tpn keys new`, an allow list, and sockets of a plain client that use them."""
import contextlib
import json
import sqlite3
import subprocess

import zmq

import tpn_wire
from tpn_harness import SLOW, check, check_equal, find_program, pickup_profile, wait_until, write_yaml

OPEN = {"producer": {"profiles": ["*"], "from": ["*"], "recipients": ["*"]},
        "operator": {"rights": ["read", "act"]}, "worker": {"workers": ["*"]}, "monitor": {}}


class Ring:
    """The keys of one lab. `entries` is what stands below `access:`; `write` puts it on disk."""

    def __init__(self, lab, name="keys"):
        self.folder = lab.folder(name)
        self.allow = self.folder / "allow.yaml"
        self.entries = {}
        self.new("broker", "broker")

    def new(self, name, role, file=None, listed=True, **policy):
        """Make a pair as NAME.key (below FILE, a folder, when given) and list its owner; returns the public key."""
        folder = self.folder / file if file else self.folder
        folder.mkdir(exist_ok=True)
        made = subprocess.run([find_program("tpn"), "keys", "new", name, "--role", role, "--out", folder],
                              text=True, capture_output=True, check=False)
        check_equal(made.returncode, 0, f"tpn keys new: {made.stderr}")
        public = self.public(name, file)
        if role != "broker" and listed:
            entry = self.entries.setdefault(name, {"role": role, "keys": [], **OPEN[role], **policy})
            entry["keys"].append(public)
        return public

    def path(self, name, file=None, ending="key"):
        return (self.folder / file if file else self.folder) / f"{name}.{ending}"

    def public(self, name, file=None):
        return self._text(name, file, "public")

    def _text(self, name, file, field):
        for line in self.path(name, file).read_text().splitlines():
            if line.startswith(f"{field}: "):
                return line.split(": ", 1)[1].strip("'")
        check(False, f"no {field} in the key of {name}")
        return ""

    def write(self):
        write_yaml(self.allow, {"access": self.entries})

    def config(self, **more):
        """broker.yaml of a broker with these keys, that looks at its list often."""
        self.write()
        return {"keys": {"own": str(self.path("broker")), "allow": str(self.allow)},
                "worker": {"beat": "200ms", "liveness": "5s"}, **more}

    def worker(self, name, **more):
        """worker.yaml"""
        return {"keys": {"own": str(self.path(name)), "server": str(self.path("broker", ending="pub"))}, **more}

    def flags(self, name, file=None, server=None):
        """Of tpn and tpn-monitor."""
        return ["--key", self.path(name, file), "--server-key",
                server or self.path("broker", ending="pub")]

    def curve(self, name, file=None):
        """Set the keys of a socket that connects."""
        public, secret = self.public(name, file), self._text(name, file, "secret")
        server = self.public("broker")

        def apply(socket):
            socket.setsockopt(zmq.CURVE_SERVERKEY, server.encode())
            socket.setsockopt(zmq.CURVE_PUBLICKEY, public.encode())
            socket.setsockopt(zmq.CURVE_SECRETKEY, secret.encode())
        return apply


class House:
    """A broker with keys, an operator and a producer, and a pickup folder."""

    def __init__(self, lab, **more):
        self.lab = lab
        self.ring = Ring(lab)
        for name, role in (("trackpro", "producer"), ("other", "producer"), ("ann", "operator"),
                           ("w1", "worker"), ("watch", "monitor")):
            self.ring.new(name, role)
        self.pickup = lab.folder("pickup")
        self.broker = lab.broker({"lab": pickup_profile(self.pickup)}, self.ring.config(**more))

    def worker(self):
        return self.lab.worker(self.broker, "w1", roots=[self.pickup], config=self.ring.worker("w1", liveness="2s", beat="200ms"))

    def publisher(self, name, socket="submit", file=None):
        return self.lab.enter_context(contextlib.closing(tpn_wire.Publisher(
            self.lab.pb, self.broker.endpoints[socket], curve=self.ring.curve(name, file))))

    def follower(self, name, prefix="tpn1."):
        return self.lab.enter_context(contextlib.closing(tpn_wire.Follower(
            self.lab.pb, self.broker.endpoints["status"], prefix, curve=self.ring.curve(name))))

    def stats(self):
        asked = self.lab.tpn(self.broker, "status", "--json", *self.ring.flags("ann"))
        check_equal(asked.returncode, 0, asked.stderr)
        return json.loads(asked.stdout)

    def counted(self, field, at_least=1):
        wait_until(lambda: int(self.stats().get(field, 0)) >= at_least, f"{field} to be {at_least}")

    def logged(self, *words):
        """One line with all of the words."""
        wait_until(lambda: any(all(word in line for word in words) for line in self.broker.text().splitlines()),
                   f"a line with {words} in the log")

    def relist(self):
        """The list as it is now is in force."""
        before = self.broker.text().count(" keys result=")
        self.ring.write()
        wait_until(lambda: self.broker.text().count(" keys result=") > before, "the allow list to be read again")

    def send(self, name, *more, file=None, server=None):
        return self.lab.tpn(self.broker, "send", "--profile", "lab", "--from", "cal@example.test", "--to",
                            "ann@example.test", "--subject", "Due", "--text", "Due", "--timeout", str(int(20 * SLOW)),
                            *self.ring.flags(name, file, server), *more)

    def audited(self, who, act, why, outcome="refused"):
        """Stop the broker, and look for such a record on its disk; returns it."""
        if self.broker.alive():
            check_equal(self.broker.stop(), 0, "the broker's exit")
        with contextlib.closing(sqlite3.connect(f"file:{self.broker.data / 'store.db'}?mode=ro", uri=True)) as store:
            records = [self.lab.pb.AuditRecord.FromString(row[0]) for row in store.execute("select record from audit order by number")]
        for record in records:
            if record.who == who and record.act == act and why in record.why and record.outcome == outcome:
                return record
        check(False, f"no audit record of {who}, {act}, {why}: {records}")
        return None
