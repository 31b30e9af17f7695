"""Logins against servers that are not ours: a test for each (server, mechanism, TLS mode), by its name.

Postfix with Cyrus SASL, Dovecot's submission service (tokens checked offline), Exim. All are started once, one broker and one
worker send a mail for every row; each test looks at its own. `peer-…` tests ask the servers with swaks and msmtp, which tells a
wrong server from a wrong worker.
"""
import dataclasses
import shutil
import subprocess

from tpn_harness import Failure, Lab, Skip, check, check_equal, parse_mail, run, wait_until
from tpn_wire import outcome_name, phase_name, state_name

import dovecot_peer
import exim_peer
import postfix_peer
import token_peer

LIMITS = {"connect_timeout": "30s", "reply_timeout": "30s", "content_timeout": "30s", "max_connections": 1}
RETRY_NEVER = {"retry": {"delays": ["1h"]}}
SETTLED = ("SENT", "DEFERRED", "FAILED", "UNKNOWN")
SENT = ("SENT", "DELIVERED", "FINAL_DOT", 250)
EXIM_MAILBOX = "user@exim.test"
MODES = {"starttls": {"use_tls": True, "tls_mode": "starttls"}, "implicit": {"use_tls": True, "tls_mode": "implicit"},
         "clear": {"use_tls": False, "allow_cleartext_auth": True}}
PORTS = {  # of each server, by TLS mode
    "postfix": {"starttls": "submission", "implicit": "implicit", "clear": "clear"},
    "dovecot": {"starttls": "starttls", "implicit": "implicit", "clear": "starttls"},
    "exim": {"starttls": "starttls", "implicit": "implicit", "clear": "starttls"},
}
LOGINS = {"postfix": (postfix_peer.USER, postfix_peer.PASSWORD), "dovecot": (dovecot_peer.USER, dovecot_peer.PASSWORD),
          "exim": (exim_peer.USER, exim_peer.PASSWORD)}
BASIC = ("plain", "login", "cram-md5")


@dataclasses.dataclass(frozen=True)
class Row:
    """One login and what comes of it."""

    peer: str
    mechanism: str
    mode: str
    variant: str = ""
    settings: dict = dataclasses.field(default_factory=dict)
    told: tuple = SENT
    says: tuple = ()

    @property
    def name(self):
        return "-".join(word for word in (self.peer, self.mechanism, self.mode, self.variant) if word)


def refused(code, *says):
    return {"told": ("DEFERRED", "DEFERRED", "AUTH", code), "says": says}


NTLM = {"authentication": "ntlm", "login_mechanisms": ""}
ROWS = [Row(peer, mechanism, mode) for peer in PORTS for mechanism in BASIC for mode in MODES]
ROWS += [Row("dovecot", mechanism, mode) for mechanism in ("xoauth2", "oauthbearer") for mode in MODES]
ROWS += [Row("exim", "xoauth2", mode) for mode in MODES]
ROWS += [Row("exim", "ntlm", mode, "libcurl-version-1", {**NTLM, "ntlm_engine": "libcurl"})
         for mode in ("starttls", "implicit")]
ROWS += [Row("exim", "ntlm", mode, "own-refuses-version-1", {**NTLM, "ntlm_engine": "own"}, **refused(0, "version 1"))
         for mode in MODES]
ROWS += [Row(peer, "plain", "starttls", "wrong-password", {"password": "@WRONG@"}, **refused(535)) for peer in PORTS]
ROWS += [
    Row("exim", "anonymous", "starttls", "", {"authentication": "anonymous"}),
    Row("postfix", "anonymous", "clear", "", {"authentication": "anonymous"}),
    Row("postfix", "cram-md5", "clear", "first-without-tls", {"login_mechanisms": ""}),
    Row("postfix", "xoauth2", "starttls", "not-offered", **refused(0, "XOAUTH2", "the server offers PLAIN")),
    Row("dovecot", "plain", "starttls", "by-ip-literal", {"smtp_server": "127.0.0.1"}),
    Row("dovecot", "plain", "starttls", "by-ipv6-literal", {"smtp_server": "::1"}),
    Row("dovecot", "plain", "implicit", "by-ipv6-literal-in-brackets", {"smtp_server": "[::1]"}),
    Row("dovecot", "plain", "starttls", "wrong-name", {"smtp_server": "127.0.0.2"},
        told=("DEFERRED", "DEFERRED", "TLS", 0), says=("certificate",)),
    Row("exim", "plain", "implicit", "auto-mode-on-an-odd-port", {"tls_mode": "auto", "connect_timeout": "3s"},
        told=("DEFERRED", "DEFERRED", "CONNECT", 0), says=("465",)),
    Row("exim", "plain", "implicit", "without-tls-mode", {"use_tls": False}),
]


class Farm:
    """Servers, broker, worker, and what was told of every row; made when the first test needs it."""

    def __init__(self):
        self.lab, self.trouble = None, None

    def get(self):
        if self.trouble is not None:
            raise self.trouble
        if self.lab is None:
            try:
                self.start()
            except (Failure, Skip) as trouble:
                self.trouble = trouble
                raise
        return self

    def start(self):
        self.lab = lab = Lab("auth-peers")
        self.postfix = lab.postfix(logins=True)
        certificate = self.postfix.folder / "etc" / "both"
        self.postfix.authority.make(certificate.name, "DNS:localhost,IP:127.0.0.1,IP:::1")
        self.tokens = lab.enter_context(token_peer.TokenServer(lab.folder("tokens"), certificate, dovecot_peer.USER))
        self.exim_tokens = lab.enter_context(
            token_peer.TokenServer(lab.folder("exim-tokens"), certificate, EXIM_MAILBOX))
        self.dovecot = lab.add(dovecot_peer.Dovecot(lab, certificate, self.tokens.public_key, self.postfix.port)).start()
        self.exim = lab.add(exim_peer.Exim(lab, certificate)).start()
        self.ca = str(self.postfix.certificate)
        broker = lab.broker({row.name: self.profile(row) for row in ROWS}, RETRY_NEVER)
        self.worker = lab.worker(broker)
        self.follower = lab.follower(broker)
        publisher = lab.publisher(broker)
        for row in ROWS:
            publisher.submit(lab.request(row.name, to=("anon@example.test",), profile=row.name))

    def get_settled(self):
        """Once every row is settled: for what counts over all of them."""
        self.get()
        for row in ROWS:
            self.follower.wait_state(row.name, *SETTLED, timeout_s=60)
        return self

    def close(self):
        if self.lab is not None:
            self.lab.close()

    def secret(self, name, text):
        file = self.lab.dir / name
        file.write_text(text + "\n", encoding="utf-8")
        file.chmod(0o600)
        return f"file:{file}"

    def server(self, peer):
        return getattr(self, peer)

    def login(self, row):
        user, password = LOGINS[row.peer]
        if row.mechanism in ("xoauth2", "oauthbearer"):
            tokens = self.exim_tokens if row.peer == "exim" else self.tokens
            return {"authentication": "oauth2", "user_name": EXIM_MAILBOX if row.peer == "exim" else user,
                    "oauth_token_endpoint": tokens.url, "oauth_client_id": token_peer.CLIENT_ID,
                    "oauth_client_secret": self.secret("client", token_peer.CLIENT_SECRET),
                    "oauth_refresh_token": self.secret(f"refresh-{row.peer}", "refresh-1"), "oauth_ca_file": self.ca}
        if row.mechanism == "ntlm":
            password = exim_peer.NTLM_PASSWORD
        return {"authentication": "basic", "user_name": user,
                "password": self.secret(f"password-{row.peer}-{row.mechanism}", password)}

    def profile(self, row):
        port = self.server(row.peer).ports[PORTS[row.peer][row.mode]]
        profile = {**LIMITS, **MODES[row.mode], "smtp_server": "localhost", "smtp_port": port,
                   "login_mechanisms": row.mechanism, **self.login(row), **row.settings}
        if profile["authentication"] == "anonymous":
            for key in ("user_name", "password", "login_mechanisms"):
                del profile[key]
        if profile.get("password") == "@WRONG@":
            profile["password"] = self.secret("wrong", "wr0ng")
        if profile["use_tls"] or profile.get("tls_mode", "auto") != "auto":
            profile["ca_file"] = self.ca
        return profile


FARM = Farm()


def make_test(row):
    def test(_lab):
        if "ipv6" in row.variant and not dovecot_peer.has_ipv6():
            raise Skip("this machine has no ::1")
        farm = FARM.get()
        event = farm.follower.wait_state(row.name, *SETTLED, timeout_s=60)
        (result,) = event.recipients
        pb = farm.lab.pb
        told = (state_name(pb, event.state), outcome_name(pb, result.outcome), phase_name(pb, result.phase),
                result.smtp_code)
        check_equal(told, row.told, f"told ({result.text!r})")
        for word in row.says:
            check(word in result.text, f"{word!r} is missing in {result.text!r}")
        if row.told == SENT:
            check_equal(bool(event.tls_version), row.mode != "clear", f"TLS ({event.tls_version!r})")
    return test


for _row in ROWS:
    globals()[f"test_{_row.name}"] = make_test(_row)


def test_servers_say_which_mechanism_was_used(_lab):
    """Each server's own log; the worker's word counts for nothing here."""
    farm = FARM.get_settled()
    good = [row for row in ROWS if row.told == SENT and ("ipv6" not in row.variant or dovecot_peer.has_ipv6())]

    def wanted(peer, mechanism):
        return sum(1 for row in good if (row.peer, row.mechanism) == (peer, mechanism))
    for mechanism in BASIC:
        for peer, log, word in (("postfix", farm.postfix.mail_log, f"sasl_method={mechanism.upper()},"),
                                ("exim", farm.exim.own_log, f"A={mechanism.upper().partition('-')[0]}:")):
            wait_until(lambda log=log, word=word, peer=peer, mechanism=mechanism:
                       log().count(word) >= wanted(peer, mechanism), f"{word} in the log of {peer}")
            check_equal(log().count(word), wanted(peer, mechanism), f"{word} in the log of {peer}")
    check_equal(farm.exim.own_log().count("A=XOAUTH2:"), wanted("exim", "xoauth2"), "XOAUTH2 in Exim's log")
    check_equal(farm.exim.own_log().count("A=NTLM:"), wanted("exim", "ntlm"), "NTLM in Exim's log")
    for mechanism in (*BASIC, "xoauth2", "oauthbearer"):
        count = farm.dovecot.own_log().count(f"method={mechanism.upper()},")
        check(count >= wanted("dovecot", mechanism), f"{count} logins with {mechanism} in Dovecot's log")


def test_tokens_are_asked_for_once(_lab):
    """Once for each credential, however many profiles have it: here the mailbox of six, and another user."""
    farm = FARM.get_settled()
    check_equal(len(farm.tokens.requests), 2, "requests for a token")
    check_equal(len(farm.exim_tokens.requests), 1, "requests for Exim's token")


def test_every_mail_arrived_where_it_was_sent(_lab):
    farm = FARM.get_settled()
    sent = {row.name for row in ROWS if row.told == SENT and ("ipv6" not in row.variant or dovecot_peer.has_ipv6())}
    to_exim = sum(1 for name in sent if name.startswith("exim"))
    mails = [*farm.postfix.wait_mails(len(sent) - to_exim), *farm.exim.wait_mails(to_exim)]
    check_equal(sorted(str(parse_mail(mail)["Subject"]) for mail in mails), sorted(f"Due: {name}" for name in sent),
                "subjects")


def test_no_secret_stands_in_a_log(_lab):
    farm = FARM.get_settled()
    for secret in (postfix_peer.PASSWORD, dovecot_peer.PASSWORD, exim_peer.PASSWORD, token_peer.CLIENT_SECRET,
                   *farm.tokens.tokens):
        check(secret not in farm.worker.text(), "a secret stands in the worker's log")


# ---- the servers themselves, by clients that are not ours ----

def swaks(farm, peer, mechanism):
    user, password = LOGINS[peer]
    return ["swaks", "--server", "localhost", "--port", str(farm.server(peer).ports[PORTS[peer]["starttls"]]), "--tls",
            "--tls-ca-path", farm.ca, "--auth", mechanism.upper(), "--auth-user", user, "--auth-password", password,
            "--from", "peer@example.test", "--to", "anon@example.test", "--quit-after", "AUTH"]


def msmtp(farm, peer, mechanism, password):
    config = farm.lab.dir / "msmtprc"
    secret = farm.secret("msmtp-secret", password).removeprefix("file:")
    config.write_text("\n".join((
        "defaults", "tls on", "tls_starttls on", f"tls_trust_file {farm.ca}", "account peer", "host localhost",
        f"port {farm.server(peer).ports['starttls']}", "from peer@example.test", f"auth {mechanism}",
        f"user {EXIM_MAILBOX if peer == 'exim' and mechanism != 'ntlm' else LOGINS[peer][0]}",
        f"passwordeval cat {secret}", "")), encoding="utf-8")
    config.chmod(0o600)
    return ["msmtp", "-C", str(config), "-a", "peer", "anon@example.test"]


def check_client(words):
    if shutil.which(words[0]) is None:
        raise Failure(f"{words[0]} is not installed (deploy/lib/packages.sh has it)")
    result = subprocess.run(words, input="Subject: from a peer's client\n\nHello\n", text=True, capture_output=True,
                            check=False, timeout=60)
    check_equal(result.returncode, 0, f"exit status of {words[0]}: {result.stdout[-800:]}{result.stderr[-800:]}")


def make_peer_test(client, peer, mechanism):
    def test(_lab):
        farm = FARM.get_settled()
        if client == "swaks":
            check_client(swaks(farm, peer, mechanism))
        elif mechanism == "ntlm":
            check_client(msmtp(farm, peer, mechanism, exim_peer.NTLM_PASSWORD))
        else:
            tokens = farm.exim_tokens if peer == "exim" else farm.tokens
            check_client(msmtp(farm, peer, mechanism, tokens.access_token(tokens.mailbox)))
    return test


for _client, _peer, _mechanism in (("swaks", "postfix", "plain"), ("swaks", "postfix", "login"),
                                   ("swaks", "postfix", "cram-md5"), ("swaks", "exim", "plain"),
                                   ("swaks", "exim", "cram-md5"), ("swaks", "dovecot", "plain"),
                                   ("swaks", "dovecot", "cram-md5"), ("msmtp", "dovecot", "xoauth2"),
                                   ("msmtp", "dovecot", "oauthbearer"), ("msmtp", "exim", "ntlm")):
    globals()[f"test_peer-{_peer}-{_mechanism}-by-{_client}"] = make_peer_test(_client, _peer, _mechanism)


def test_broker_and_worker_stop_cleanly(_lab):
    """After everything else: a leak or a late crash would show here."""
    FARM.get_settled().lab.stop_all()


try:
    run(globals())
finally:
    FARM.close()
