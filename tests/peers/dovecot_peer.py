"""A real Dovecot submission service on loopback ports of its own, with passwords and with tokens (JWT) that it checks offline.

Templates: dovecot/dovecot.conf, dovecot/oauth2.conf.ext. What it takes it relays to another server of the lab. Needs root.
"""
import os
import pathlib
import shutil
import socket

from tpn_harness import Failure, Process, Skip, free_port, port_answers, wait_until

TEMPLATES = pathlib.Path(__file__).resolve().parent / "dovecot"
USER, PASSWORD = "user@dovecot.test", "dövecot s3cret"


def has_ipv6():
    """Can ::1 be bound here?"""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        return True
    except OSError:
        return False


class Dovecot(Process):
    """dovecot(1) below lab/dovecot: .ports["starttls"] (offers it, and takes logins without) and .ports["implicit"].
    certificate: path without .pem and .key; public_key: of who signs the tokens; relay: a port."""

    def __init__(self, lab, certificate, public_key, relay):
        self.folder = lab.folder("dovecot")
        self.certificate, self.public_key, self.relay = certificate, public_key, relay
        self.ports = {}
        super().__init__(lab, "dovecot", ["/usr/sbin/dovecot", "-F", "-c", self.folder / "dovecot.conf"])

    def prepare(self):
        for name in ("run", "home", "state", "keys/default/RS256"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        shutil.chown(self.folder / "home", "nobody", "nogroup")
        # A token without "kid" is looked up as "default"; azp, too.
        shutil.copy(self.public_key, self.folder / "keys/default/RS256/default")
        (self.folder / "passwd").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n", encoding="utf-8")
        self.ports = {"starttls": free_port(), "implicit": free_port()}
        words = {"LISTEN": "127.0.0.1, 127.0.0.2" + (", ::1" if has_ipv6() else ""), "DIR": self.folder, "CERTIFICATE": self.certificate, "RELAY": self.relay,
                 **{name.upper(): port for name, port in self.ports.items()}}
        for name in ("dovecot.conf", "oauth2.conf.ext"):
            text = (TEMPLATES / name).read_text(encoding="utf-8")
            for key, value in words.items():
                text = text.replace(f"@{key}@", str(value))
            (self.folder / name).write_text(text, encoding="utf-8")

    def listening(self):
        return all(port_answers(port) for port in self.ports.values())

    def start(self):
        if os.geteuid() != 0:
            raise Skip("Dovecot needs root")
        if not os.path.exists("/usr/lib/dovecot/submission-login"):
            raise Failure("dovecot-submissiond is not installed (deploy/lib/packages.sh has it)")
        for _ in range(5):  # another process may take a port between the probe and the bind
            self.prepare()
            super().start()
            wait_until(lambda: self.listening() or not self.alive(), "Dovecot to listen", 30)
            if self.alive():
                return self
        raise Failure(f"Dovecot does not start:\n{self.text()}\n{self.own_log()}")

    def kill(self):
        """The master ends its children on SIGTERM; killed hard it would leave them."""
        if self.alive():
            self.stop()

    def own_log(self):
        log = self.folder / "log"
        return log.read_text("utf-8", "replace") if log.exists() else ""
