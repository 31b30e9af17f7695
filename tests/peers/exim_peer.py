"""A real Exim on loopback ports of its own. It is unpacked, never installed (it conflicts with Postfix): its package is
fetched once into the build folder by apt-get, and its user exists only in a mount namespace of its own. Needs root.
"""
import os
import pathlib
import shutil
import subprocess

from tpn_harness import BUILD_DIR, Failure, Process, Skip, free_port, port_answers, wait_until

TEMPLATE = pathlib.Path(__file__).resolve().parent / "exim" / "exim.conf"
USER, PASSWORD, NTLM_PASSWORD = "user", "p@ss wörd", "secret"
PACKAGES = ("exim4-daemon-heavy", "exim4-base")
# In a mount namespace: an overlay over /etc where the user is made, so that the system's /etc stays as it is.
START = """set -e
mount -t tmpfs none "$1/overlay"
mkdir "$1/overlay/upper" "$1/overlay/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$1/overlay/upper,workdir=$1/overlay/work" /etc
useradd --system --no-create-home Debian-exim
chown -R Debian-exim "$1/spool" "$1/mail" "$1/log" "$1/server.key"
exec "$2" -C "$1/exim.conf" -bdf -q1h
"""


def unpacked():
    """The program, below the build folder."""
    folder = BUILD_DIR / "peers" / "exim"
    program = folder / "tree" / "usr/sbin/exim4"
    if not program.exists():
        packages = folder / "packages"
        packages.mkdir(parents=True, exist_ok=True)
        got = subprocess.run(["apt-get", "download", "-q", *PACKAGES], cwd=packages, text=True, capture_output=True,
                             check=False)
        files = list(packages.glob("exim4*.deb"))
        if got.returncode != 0 or len(files) < len(PACKAGES):
            raise Failure(f"apt-get download {' '.join(PACKAGES)} failed: {got.stderr}")
        for file in files:
            subprocess.run(["dpkg", "-x", file, folder / "tree"], check=True)
    return program


class Exim(Process):
    """exim(8) below lab/exim: .ports["starttls"] (offers it, and takes logins without) and .ports["implicit"].
    certificate: path without .pem and .key."""

    def __init__(self, lab, certificate):
        self.folder, self.certificate = lab.folder("exim"), certificate
        self.ports = {}
        super().__init__(lab, "exim", [])

    def prepare(self):
        for name in ("spool", "mail", "log", "overlay"):
            (self.folder / name).mkdir(exist_ok=True)
        self.ports = {"starttls": free_port(), "implicit": free_port()}
        # Its own user starts it again for each delivery, and a build folder in a home of mode 700 is closed to that.
        program = self.folder / "exim4"
        shutil.copy(unpacked(), program)
        for ending in ("pem", "key"):  # its user must be able to read them
            shutil.copy(f"{self.certificate}.{ending}", self.folder / f"server.{ending}")
        words = {"EXIM": program, "DIR": self.folder, "CERTIFICATE": self.folder / "server",
                 **{name.upper(): port for name, port in self.ports.items()}}
        text = TEMPLATE.read_text(encoding="utf-8")
        for key, value in words.items():
            text = text.replace(f"@{key}@", str(value))
        (self.folder / "exim.conf").write_text(text, encoding="utf-8")
        self.argv = ["unshare", "-m", "bash", "-c", START, "exim", str(self.folder), str(program)]

    def listening(self):
        return all(port_answers(port) for port in self.ports.values())

    def start(self):
        if os.geteuid() != 0:
            raise Skip("Exim needs root")
        for _ in range(5):  # another process may take a port between the probe and the bind
            self.prepare()
            super().start()
            wait_until(lambda: self.listening() or not self.alive(), "Exim to listen", 30)
            if self.alive():
                return self
        raise Failure(f"Exim does not start:\n{self.text()}\n{self.own_log()}")

    def kill(self):
        """Let the daemon end its children."""
        if self.alive():
            self.stop()

    def wait_mails(self, count, timeout_s=30):
        """Bytes of the mails in its maildir, when there are so many."""
        folder = self.folder / "mail" / "new"
        wait_until(lambda: len(list(folder.glob("*"))) >= count, f"{count} mails in Exim's maildir", timeout_s)
        return [file.read_bytes() for file in folder.glob("*")]

    def own_log(self):
        return "".join(log.read_text("utf-8", "replace") for log in sorted((self.folder / "log").glob("*log")))
