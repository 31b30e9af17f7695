"""Programs that only comparisons need, as processes of a lab: each with its own folder, on a loopback port.

Durable as far as they can: what they said yes to is on the disk (Redis `appendfsync always`, beanstalkd `-f0`)."""
import contextlib
import os
import re
import shutil
import socket

import npm_peer
from bench_machine import output_of
from tpn_harness import BUILD_DIR, Failure, Process, free_port, port_answers, wait_until


NPM_MODULES = ("bullmq", "ioredis", "nodemailer")


def missing(**packages):
    """For Side.peer, from program=package with _ for -: which program is missing, or ""."""
    def ask():
        for program, package in packages.items():
            if not shutil.which(program.replace("_", "-")):
                return f"{program.replace('_', '-')} (package {package}) is missing"
        return ""
    return ask


def peer_versions():
    """One line: packages, and the npm modules as they are asked for."""
    packages = [f"{name} {output_of('dpkg-query', '-W', '-f', '${Version}', name)}"
                for name in ("redis-server", "beanstalkd", "python3-celery")]
    modules = [f"{name} {npm_peer.VERSIONS[name]}" for name in NPM_MODULES]
    return ", ".join([*packages, f"node {output_of('node', '--version')}", *modules])


def node_modules():
    """The folder for NODE_PATH; the first call installs into the build folder. RuntimeError says what is missing."""
    return npm_peer.install(BUILD_DIR, *NPM_MODULES)


class PortServer(Process):
    """A server that cannot bind port 0 and tell; another process may take the port between probe and bind."""

    def __init__(self, lab, name):
        self.folder = lab.folder(name)
        self.port = 0
        super().__init__(lab, name, [])

    def command(self):
        raise NotImplementedError

    def start(self):
        for _ in range(5):
            self.port = free_port()
            self.argv = [str(word) for word in self.command()]
            super().start()
            wait_until(lambda: port_answers(self.port) or not self.alive(), f"{self.name} to listen")
            if self.alive():
                return self
        raise Failure(f"{self.name} does not start:\n{self.text()}")


class Redis(PortServer):
    """redis-server, append-only file synced before each answer. It never writes the file anew: that would cost it."""

    def __init__(self, lab):
        super().__init__(lab, "redis")

    def command(self):
        return [shutil.which("redis-server"), "--port", self.port, "--bind", "127.0.0.1", "--dir", self.folder,
                "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--auto-aof-rewrite-percentage", 0,
                "--maxmemory-policy", "noeviction"]

    def ask(self, *words):
        """The number that a command answers."""
        request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.port), 10)) as link:
            link.sendall(request)
            answer = link.makefile("rb").readline()
        found = re.fullmatch(rb":(\d+)\r\n", answer)
        if not found:
            raise Failure(f"Redis answered {answer!r} to {words!r}")
        return int(found.group(1))


class Beanstalkd(PortServer):
    """beanstalkd with a binlog synced at each write."""

    def __init__(self, lab):
        super().__init__(lab, "beanstalkd")
        if os.geteuid() == 0:
            self.folder.chmod(0o700)

    def command(self):
        return [shutil.which("beanstalkd"), "-l", "127.0.0.1", "-p", self.port, "-b", self.folder, "-f0"]
