"""NTLM against a server that takes version 2 only, by libcurl and by our own: each row is a test of its own.

Besides the rows: what a refused password costs, what libcurl cannot do, and that version 1 gets no answer."""
import dataclasses

from tpn_harness import check, check_equal, run
from tpn_wire import outcome_name, phase_name, state_name

import ntlm_peer
import postfix_peer

LIMITS = {"connect_timeout": "20s", "reply_timeout": "20s", "content_timeout": "20s"}
RETRY_NEVER = {"retry": {"delays": ["1h"]}}
SETTLED = ("SENT", "DEFERRED", "FAILED", "UNKNOWN")
PASSWORD = "s3cret pass%word"
SENT = ("SENT", "DELIVERED", "FINAL_DOT", 250)
NO_LOGIN = ("DEFERRED", "DEFERRED", "AUTH", 0)
REFUSED = ("DEFERRED", "DEFERRED", "AUTH", 535)


@dataclasses.dataclass(frozen=True)
class Row:
    """A login and what comes of it. `seen` is the server's list of logins."""

    name: str
    engine: str
    tls: str = "starttls"
    login: str = "CORP\\jane"
    account: tuple = ("CORP", "jane", PASSWORD)
    password: str = ""
    settings: dict = dataclasses.field(default_factory=dict)
    challenge: str = "v2"
    told: tuple = SENT
    seen: tuple = (("CORP", "jane", "v2", True),)
    says: tuple = ()


CLEAR = {"use_tls": False, "allow_cleartext_auth": True}
UNCHECKED = {"tls_no_verify": True, "ca_file": ""}
CYRILLIC = ("CORP", "юрий", "пароль 密码")
LATIN = ("CORP", "jörg", "pässwörd")
ROWS = (
    Row("own-starttls", "own"),
    Row("own-implicit", "own", tls="implicit"),
    Row("own-clear-allowed", "own", tls="none", settings=CLEAR),
    Row("own-upn", "own", login="jane@corp.test", seen=(("", "jane@corp.test", "v2", True),)),
    Row("own-slash", "own", login="CORP/jane"),
    Row("own-no-domain", "own", login="Jane", seen=(("", "Jane", "v2", True),)),
    Row("own-latin", "own", login="CORP\\jörg", account=LATIN, seen=(("CORP", "jörg", "v2", True),)),
    Row("own-cyrillic", "own", login="CORP\\юрий", account=CYRILLIC, seen=(("CORP", "юрий", "v2", True),)),
    Row("own-wrong-password", "own", password="wr0ng", told=REFUSED, seen=(("CORP", "jane", "v2", False),),
        says=("Authentication unsuccessful",)),
    Row("own-version-1-gets-no-answer", "own", challenge="v1", told=NO_LOGIN, seen=(), says=("version 1",)),
    Row("libcurl-starttls", "libcurl"),
    Row("libcurl-implicit", "libcurl", tls="implicit"),
    Row("libcurl-upn", "libcurl", login="jane@corp.test", seen=(("", "jane@corp.test", "v2", True),)),
    Row("libcurl-latin", "libcurl", login="CORP\\jane", account=("CORP", "jane", "pässwörd")),
    Row("libcurl-wrong-password", "libcurl", password="wr0ng", told=REFUSED, seen=(("CORP", "jane", "v2", False),),
        says=("Authentication unsuccessful",)),
    Row("libcurl-beyond-latin-1", "libcurl", login="CORP\\юрий", account=CYRILLIC, told=NO_LOGIN, seen=(),
        says=("ntlm_engine", "Latin-1", "own")),
    Row("libcurl-unchecked-certificate", "libcurl", settings=UNCHECKED, told=NO_LOGIN, seen=(),
        says=("ntlm_engine", "version 1", "own")),
    Row("auto-starttls", "auto"),
    Row("auto-beyond-latin-1", "auto", login="CORP\\юрий", account=CYRILLIC, seen=(("CORP", "юрий", "v2", True),)),
    Row("auto-clear-version-1-gets-no-answer", "auto", tls="none", settings=CLEAR, challenge="v1", told=NO_LOGIN,
        seen=(), says=("version 1",)),
)


def make_test(row):
    def test(lab):
        authority = postfix_peer.Authority(lab.folder("ca"))
        authority.make("server", "DNS:localhost,IP:127.0.0.1")
        server = lab.enter_context(ntlm_peer.NtlmServer(
            *row.account, tls=row.tls, certificate=lab.folder("ca") / "server", challenge=row.challenge))
        secret = lab.dir / "secret"
        secret.write_text((row.password or row.account[2]) + "\n", encoding="utf-8")
        secret.chmod(0o600)
        trust = {"use_tls": True, "ca_file": str(authority.certificate)} if row.tls != "none" else {}
        profile = {**LIMITS, **trust, "tls_mode": "implicit" if row.tls == "implicit" else "auto",
                   "smtp_server": "localhost", "smtp_port": server.port, "authentication": "ntlm",
                   "user_name": row.login, "password": f"file:{secret}", "ntlm_engine": row.engine, **row.settings}
        broker = lab.broker({"lab": profile}, RETRY_NEVER)
        worker = lab.worker(broker)
        follower = lab.follower(broker)
        lab.publisher(broker).submit(lab.request("one"))
        event = follower.wait_state("one", *SETTLED, timeout_s=40)
        (result,) = event.recipients
        told = (state_name(lab.pb, event.state), outcome_name(lab.pb, result.outcome),
                phase_name(lab.pb, result.phase), result.smtp_code)
        check_equal(told, row.told, f"told ({result.text!r})")
        check_equal(tuple(server.logins), row.seen, "logins that the server saw")
        check_equal(len(server.mails), 1 if row.told == SENT else 0, "mails that the server took")
        for word in row.says:
            check(word in result.text, f"{word!r} is missing in {result.text!r}")
        for process in (broker, worker):
            check(row.account[2] not in process.text(), f"the password stands in the log of {process.name}")
    return test


for _row in ROWS:
    globals()[f"test_{_row.name}"] = make_test(_row)

run(globals())
