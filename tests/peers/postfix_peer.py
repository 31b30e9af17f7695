"""A real Postfix on a loopback port, with its own configuration, queue and mail folder; the system's is not touched.

Templates: postfix/main.cf, postfix/master.cf, postfix/rcpt. Needs root, because Postfix does. Everything that is
accepted ends in one maildir; a file for each recipient, with X-Original-To in front.
"""
import os
import pathlib
import pwd
import shutil
import subprocess

from tpn_harness import Failure, Process, Skip, free_port, port_answers, wait_until

TEMPLATES = pathlib.Path(__file__).resolve().parent / "postfix"
NOBODY = 65534


def postconf(name):
    """A built-in default of the installed Postfix."""
    return subprocess.run(["postconf", "-dh", name], check=True, text=True,
                          capture_output=True).stdout.strip()


class Postfix(Process):
    """master(8) below lab/postfix; .port, .mails(), .certificate.

    Not `postfix start-fg`: its shell script would stand between us and master, and take our SIGTERM alone."""

    def __init__(self, lab):
        self.folder = lab.folder("postfix")
        self.port = 0
        self.certificate = self.folder / "etc" / "server.pem"
        super().__init__(lab, "postfix", [])

    def render(self, name):
        text = (TEMPLATES / name).read_text(encoding="utf-8")
        text = text.replace("@DIR@", str(self.folder)).replace("@PORT@", str(self.port))
        (self.folder / "etc" / name).write_text(text, encoding="utf-8")

    def prepare(self):
        for name in ("etc", "queue", "data", "mail"):
            (self.folder / name).mkdir(exist_ok=True)
        # A private data folder of another owner than postfix is refused; nobody delivers into mail.
        os.chown(self.folder / "data", pwd.getpwnam("postfix").pw_uid, -1)
        os.chown(self.folder / "mail", NOBODY, NOBODY)
        shutil.copy(pathlib.Path(postconf("config_directory")) / "dynamicmaps.cf", self.folder / "etc")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout",
                        self.folder / "etc" / "server.key", "-out", self.certificate],
                       check=True, capture_output=True)

    def start(self):
        if os.geteuid() != 0:
            raise Skip("Postfix needs root")
        if shutil.which("postfix") is None:
            raise Skip("postfix is not installed")
        if not self.certificate.exists():
            self.prepare()
        self.argv = [f"{postconf('daemon_directory')}/master", "-s", "-c", str(self.folder / "etc")]
        # master cannot bind port 0 and tell; another process may take the port between probe and bind.
        for _ in range(5 if self.port == 0 else 1):
            self.port = self.port or free_port()
            for name in ("main.cf", "master.cf", "rcpt"):
                self.render(name)
            subprocess.run(["postfix", "-c", self.folder / "etc", "check"], check=True, capture_output=True)
            super().start()
            wait_until(lambda: port_answers(self.port) or not self.alive(), "Postfix to listen", 30)
            if self.alive():
                return self
            self.port = 0
        raise Failure(f"Postfix does not start:\n{self.text()}\n{self.mail_log()}")

    def kill(self):
        """master ends its whole process group on SIGTERM; killing it hard would leave its children."""
        if self.alive():
            self.stop()

    def mail_log(self):
        log = self.folder / "mail.log"
        return log.read_text("utf-8", "replace") if log.exists() else ""

    def mails(self):
        """Content of every delivered mail, as bytes with LF, oldest first."""
        files = (self.folder / "mail" / "all" / "new").glob("*")
        return [file.read_bytes() for file in sorted(files, key=lambda f: f.stat().st_mtime_ns)]

    def wait_mails(self, count, timeout_s=30):
        wait_until(lambda: len(self.mails()) >= count, f"{count} mails in the maildir", timeout_s)
        return self.mails()
