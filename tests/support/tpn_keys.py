"""Keys for a lab: pairs made by `tpn keys new`, an allow list, and sockets of a plain client that use them."""
import subprocess

import zmq

from tpn_harness import check, check_equal, find_program, write_yaml

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
