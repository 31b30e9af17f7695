"""A real Postfix on a loopback port, with its own configuration, queue and mail folder; the system's is not touched.

Templates: postfix/main.cf, postfix/master.cf, postfix/rcpt; with logins also login.cf and smtpd.conf (Cyrus SASL).
Needs root, because Postfix does. Everything that is accepted ends in one maildir; a file for each recipient, with
X-Original-To in front.
"""
import os
import pathlib
import pwd
import shutil
import stat
import subprocess

from tpn_harness import Failure, Process, Skip, free_port, port_answers, wait_until

TEMPLATES = pathlib.Path(__file__).resolve().parent / "postfix"
NOBODY = 65534
REALM = "postfix.test"
USER = "user"
PASSWORD = "s3cret pass%word"
LOGIN_PORTS = ("submission", "implicit", "login_only", "cram_only", "wrong_name", "clear")


def postconf(name):
    """A built-in default of the installed Postfix."""
    return subprocess.run(["postconf", "-dh", name], check=True, text=True,
                          capture_output=True).stdout.strip()


def openssl(*words):
    subprocess.run(["openssl", *(str(word) for word in words)], check=True, capture_output=True)


class Authority:
    """A certificate authority of the test's own. make() writes NAME.pem and NAME.key beside ca.pem."""

    KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

    def __init__(self, folder, title="tests"):
        self.folder = folder
        self.certificate = folder / "ca.pem"
        openssl("req", "-x509", *self.KEY, "-days", 2, "-subj", f"/CN={title}", "-keyout", folder / "ca.key",
                "-out", self.certificate)

    def make(self, name, alternatives, days=2):
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(f"basicConstraints=CA:FALSE\nsubjectAltName={alternatives}\n", encoding="ascii")
        openssl("req", *self.KEY, "-subj", f"/CN={name}", "-keyout", self.folder / f"{name}.key", "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.folder / "ca.key",
                "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", self.folder / f"{name}.pem")


def fault_certificates(folder):
    """What faultd wants for its TLS modes: srv, dnsonly (no IP address), wrong (another name), expired, and self (signed by
    nobody), beside ca.pem. Returns folder."""
    authority = Authority(folder)
    authority.make("srv", "DNS:localhost,IP:127.0.0.1")
    authority.make("dnsonly", "DNS:localhost")
    authority.make("wrong", "DNS:other.test")
    authority.make("expired", "DNS:localhost,IP:127.0.0.1", days=-1)
    openssl("req", "-x509", *authority.KEY, "-days", 2, "-subj", "/CN=localhost", "-addext",
            "subjectAltName=IP:127.0.0.1", "-keyout", folder / "self.key", "-out", folder / "self.pem")
    return folder


def closed_to_others(folder):
    """The outermost folder on the way to this one that other users may not pass (a home of mode 700), or ""."""
    return next((str(part) for part in reversed((folder, *folder.parents)) if not part.stat().st_mode & stat.S_IXOTH), "")


class Postfix(Process):
    """master(8) below lab/postfix; .port, .mails(), .certificate, .authority. With logins=True also .ports, by the names of
    LOGIN_PORTS: STARTTLS and a login required; TLS from the first byte; only the mechanism LOGIN; only CRAM-MD5;
    a certificate for another name; no TLS at all. USER and PASSWORD are the only account.

    Not `postfix start-fg`: its shell script would stand between us and master, and take our SIGTERM alone."""

    def __init__(self, lab, logins=False):
        self.folder = lab.folder("postfix")
        self.port = 0
        self.ports = {}
        self.logins = logins
        self.authority = None
        super().__init__(lab, "postfix", [])

    @property
    def certificate(self):
        """The CA's: what a client has to trust."""
        return self.authority.certificate

    def render(self, name):
        text = (TEMPLATES / name).read_text(encoding="utf-8")
        if name == "master.cf" and self.logins:
            text += (TEMPLATES / "login.cf").read_text(encoding="utf-8")
        words = {"DIR": self.folder, "PORT": self.port, **{key.upper(): port for key, port in self.ports.items()}}
        for key, value in words.items():
            text = text.replace(f"@{key}@", str(value))
        (self.folder / "etc" / name).write_text(text, encoding="utf-8")

    def prepare(self):
        for name in ("etc", "etc/sasl", "queue", "data", "mail"):
            (self.folder / name).mkdir(exist_ok=True)
        # A private data folder of another owner than postfix is refused; nobody delivers into mail.
        os.chown(self.folder / "data", pwd.getpwnam("postfix").pw_uid, -1)
        os.chown(self.folder / "mail", NOBODY, NOBODY)
        shutil.copy(pathlib.Path(postconf("config_directory")) / "dynamicmaps.cf", self.folder / "etc")
        self.authority = Authority(self.folder / "etc")
        self.authority.make("server", "DNS:localhost,IP:127.0.0.1")
        self.authority.make("other", "DNS:other.test")
        if self.logins:
            self.prepare_logins()

    def prepare_logins(self):
        database = self.folder / "etc" / "sasl" / "sasldb2"
        subprocess.run(["saslpasswd2", "-p", "-c", "-f", database, "-u", REALM, USER], input=PASSWORD, text=True,
                       check=True, capture_output=True)
        database.chmod(0o644)  # smtpd runs as the user postfix
        (self.folder / "etc" / "sasl" / "smtpd.conf").write_text(
            (TEMPLATES / "smtpd.conf").read_text(encoding="utf-8").replace("@DIR@", str(self.folder)),
            encoding="utf-8")

    def choose_ports(self):
        self.port = free_port()
        self.ports = {name: free_port() for name in LOGIN_PORTS} if self.logins else {}

    def listening(self):
        return all(port_answers(port) for port in (self.port, *self.ports.values()))

    def start(self):
        if os.geteuid() != 0:
            raise Skip("Postfix needs root")
        if shutil.which("postfix") is None:
            raise Skip("postfix is not installed")
        if self.logins and shutil.which("saslpasswd2") is None:
            raise Skip("sasl2-bin is not installed")
        closed = closed_to_others(self.folder)
        if closed:
            raise Failure(f"Postfix: its own users cannot reach {self.folder}, for {closed} is closed to others")
        if self.authority is None:
            self.prepare()
        self.argv = [f"{postconf('daemon_directory')}/master", "-s", "-c", str(self.folder / "etc")]
        # master cannot bind port 0 and tell; another process may take the port between probe and bind.
        for _ in range(5 if self.port == 0 else 1):
            if self.port == 0:
                self.choose_ports()
            for name in ("main.cf", "master.cf", "rcpt"):
                self.render(name)
            subprocess.run(["postfix", "-c", self.folder / "etc", "check"], check=True, capture_output=True)
            super().start()
            wait_until(lambda: self.listening() or not self.alive(), "Postfix to listen", 30)
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
