"""tpn profile test: what it says for each way to fail, word for word (tests/data/profile-test.txt, and
profile-test-faults.txt for the modes of faultd), and that it sends no mail.

Providers' words come from a scripted server, TLS from a real Postfix. TPN_GOLDEN=write makes
the golden file new; look at the difference before it is kept."""
import concurrent.futures
import contextlib
import json
import os
import re

import zmq

from tpn_harness import (SLOW, SOURCE_DIR, check, check_equal, free_port, pickup_profile, run, smtp_profile, wait_until)

import faultd  # in tests/peers, which tpn_harness puts on the path
import postfix_peer
from scripted_smtp import ScriptedServer

BY_CHANCE = ("greet-rst", "starttls-close")  # whether the end or an error is seen first
GOLDEN_FAULTS = SOURCE_DIR / "tests" / "data" / "profile-test-faults.txt"
GOLDEN = SOURCE_DIR / "tests" / "data" / "profile-test.txt"
USER = "ana@lab.test"
SHORT = {"connect_timeout": "2s", "reply_timeout": "2s"}
LOGIN = {"authentication": "basic", "user_name": USER, "password": "@SECRET@", "allow_cleartext_auth": True}
CA = {"use_tls": True, "ca_file": "@CA@"}
MASKS = (
    (r" +\d+\.\d ms", "  T ms"),
    (r"\d{4}-\d\d-\d\d", "DATE"),
    (r"sha256//[A-Za-z0-9+/=]{44}", "PIN"),
    (r"ends in -?\d+ days", "ends in N days"),
    (r"after \d+ ms", "after N ms"),
    (r"errno: \d+", "errno: N"),
    (r"headers: \d+ > \d+", "headers: N > M"),
    (r"\b\d{4,5}\b", "NUMBER"),
    (r"/tmp/[^ :,]*/", "DIR/"),
    (r"on (a local disk|tmpfs[^,]*), \d+ MiB", "on DISK, N MiB"),
    (r"OpenSSL[^\n]*", "OpenSSL: …"),
)
# What a provider says, and to which verb; (name, replies, settings).
SCRIPTS = (
    ("all-well", {}, LOGIN),
    ("anonymous", {}, {}),
    ("microsoft-tenant", {"AUTH": "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. "
                          "Visit https://aka.ms/smtp_auth_disabled"}, LOGIN),
    ("microsoft-mailbox", {"AUTH": "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the "
                           "Mailbox."}, LOGIN),
    ("outlook-com", {"AUTH": "535 5.7.139 Authentication unsuccessful, basic authentication is disabled."}, LOGIN),
    ("microsoft-basic-off", {"AUTH": "550 5.7.30 Basic authentication is not supported for Client Submission."}, LOGIN),
    ("gmail-app-password", {"AUTH": "534-5.7.9 Application-specific password required. For more information, go to\n"
                            "534 5.7.9 https://support.google.test/mail/?p=InvalidSecondFactor"}, LOGIN),
    ("gmail-bad-password", {"AUTH": "535-5.7.8 Username and Password not accepted.\n535 5.7.8 see the manual"}, LOGIN),
    ("yahoo-too-many", {"AUTH": "535 5.7.0 (#AUTH005) Too many bad auth attempts."}, LOGIN),
    ("login-later", {"AUTH": "454 4.7.0 Temporary authentication failure"}, LOGIN),
    ("too-many-connections", {"AUTH": "432 4.3.2 Concurrent connections limit exceeded."}, LOGIN),
    ("tls-wanted-for-login", {"AUTH": "538 5.7.11 Encryption required"}, LOGIN),
    ("login-wanted", {"MAIL": "530 5.7.57 Client not authenticated to send mail."}, {}),
    ("send-as", {"MAIL": "550 5.7.60 SMTP; Client does not have permissions to send as this sender"}, LOGIN),
    ("sender-refused", {"MAIL": "553 5.7.1 Sender address rejected: not owned by user"}, LOGIN),
    ("no-relay", {"RCPT": "554 5.7.1 <bob@away.test>: Relay access denied"}, {}),
    ("no-mailbox", {"RCPT": "550 5.1.1 <bob@away.test>: no such user"}, {}),
    ("greylisting", {"RCPT": "450 4.2.0 <bob@away.test>: Greylisted, try again in 300 seconds"}, {}),
    ("ehlo-refused", {"EHLO": "501 5.5.2 bad name", "HELO": "501 5.5.2 bad name"}, {}),
    ("address-not-welcome", {"GREETING": "554 5.7.1 no mail from your address"}, {}),
)


class Prober:
    """A client of the submit socket that asks for tests."""

    def __init__(self, lab, broker):
        self.pb = lab.pb
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(broker.endpoints["submit"])

    def send(self, **fields):
        self.socket.send_multipart([b"TPN1.PROBE", self.pb.Probe(**fields).SerializeToString()])

    def receive(self):
        check(self.socket.poll(20000 * SLOW), "no answer to PROBE")
        verb, body = self.socket.recv_multipart()
        kind = {b"TPN1.PROBED": self.pb.ProbeReport, b"TPN1.ERROR": self.pb.Error}[verb]
        return verb.decode("ascii").removeprefix("TPN1."), kind.FromString(body)

    def ask(self, **fields):
        self.send(**fields)
        return self.receive()

    def close(self):
        self.socket.close()


def prober(lab, broker):
    return lab.enter_context(contextlib.closing(Prober(lab, broker)))


def mask(text):
    for pattern, word in MASKS:
        text = re.sub(pattern, word, text)
    return text


def secret(lab):
    path = lab.dir / "secret"
    path.write_text("right password\n", encoding="utf-8")
    path.chmod(0o600)
    return f"file:{path}"


def fill(settings, words):
    return {key: words.get(value, value) if isinstance(value, str) else value for key, value in settings.items()}


def make_profiles(lab, postfix, servers):
    """Every profile of the golden file; servers: by name, those whose port it takes."""
    words = {"@SECRET@": secret(lab), "@CA@": str(postfix.certificate)}
    profiles = {name: smtp_profile(servers[name].port, **SHORT, **fill(settings, words)) for name, _, settings in SCRIPTS}
    ports = postfix.ports
    profiles |= {
        "tls-starttls": smtp_profile(postfix.port, **SHORT, **fill(CA, words)),
        "tls-name-mismatch": smtp_profile(ports["wrong_name"], **SHORT, **fill(CA, words)),
        "tls-no-ca": smtp_profile(postfix.port, **SHORT, use_tls=True),
        "tls-wrong-pin": smtp_profile(postfix.port, **SHORT, **fill(CA, words), pinned_public_key="sha256//" + "A" * 43 + "="),
        "tls-implicit-on-starttls": smtp_profile(postfix.port, **SHORT, **fill(CA, words), tls_mode="implicit"),
        "tls-starttls-on-implicit": smtp_profile(ports["implicit"], **SHORT, **fill(CA, words), tls_mode="starttls"),
        "tls-none-on-implicit": smtp_profile(ports["implicit"], **SHORT),
        "tls-not-offered": smtp_profile(ports["clear"], **SHORT, **fill(CA, words)),
        "no-login-offered": smtp_profile(servers["no-auth"].port, **SHORT, **fill(LOGIN, words)),
        "nobody-there": smtp_profile(free_port(), **SHORT),
        "no-such-name": smtp_profile(25, **SHORT, smtp_server="mail.invalid"),
        "folder": pickup_profile(lab.folder("drop/good")),
        "folder-missing": pickup_profile(lab.dir / "drop" / "missing"),
        "folder-elsewhere": pickup_profile(lab.folder("elsewhere")),
        "folder-is-a-file": pickup_profile(lab.dir / "drop" / "plain-file"),
    }
    (lab.dir / "drop" / "plain-file").write_text("not a folder", encoding="ascii")
    return profiles


def compare_golden(golden, got):
    """Parts that begin with "== " are told apart."""
    if os.environ.get("TPN_GOLDEN") == "write":
        golden.write_text(got, encoding="utf-8")
    wanted = golden.read_text(encoding="utf-8")
    wrong = [f"wanted\n{w}--- got\n{g}" for w, g in zip(wanted.split("== "), got.split("== ")) if w != g]
    check(not wrong and got.count("== ") == wanted.count("== "), "\n".join(wrong))


def fault_profile(mode, server, words):
    more = {}
    if mode.startswith("auth-"):
        more = LOGIN
    elif mode in faultd.TLS_MODES or mode == "no-starttls":
        more = CA
    return smtp_profile(server.port, **SHORT, **fill(more, words))


def in_a_line(name, report):
    """== mode: passed, or the step that failed, what was said, and the remedy."""
    failed = [step for step in report["steps"] if step["verdict"] == "FAILED"]
    if name in BY_CHANCE:
        return f"== {name}: {'fails, with a remedy' if failed and failed[0]['remedy'] else report}\n"
    if not failed:
        return f"== {name}: {'passed' if report['passed'] else 'failed nowhere'}\n"
    said = " ".join(str(word) for word in (failed[0]["smtp_code"] or "", failed[0]["enhanced_code"], failed[0]["text"]) if word)
    return f"== {name}: {failed[0]['name']}: {mask(said)}\n   -> {mask(failed[0]['remedy'])}\n"


def test_every_fault_mode_has_its_remedy(lab):
    """Each mode of faultd; those that spoil the content only are passed, for a test sends none."""
    folder = postfix_peer.fault_certificates(lab.folder("pki"))
    words = {"@SECRET@": secret(lab), "@CA@": str(folder / "ca.pem")}
    servers = {mode: lab.faultd(mode, certificates=folder) for mode in faultd.MODES}
    broker = lab.broker({mode: fault_profile(mode, server, words) for mode, server in servers.items()})
    lab.worker(broker)
    wait_until(lambda: "\"name\"" in lab.tpn(broker, "status", "--json").stdout, "the worker")

    def told(mode):
        result = lab.tpn(broker, "profile", "test", mode, "--json", "--from", "cal@lab.test", "--to", "bob@away.test")
        return in_a_line(mode, json.loads(result.stdout))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        compare_golden(GOLDEN_FAULTS, "".join(pool.map(told, faultd.MODES)))
    for mode, server in servers.items():
        check_equal(server.contents, [], f"contents that {mode} was sent")


def test_every_failure_has_its_words(lab):
    postfix = lab.postfix(logins=True)
    servers = {name: ScriptedServer(replies) for name, replies, _ in SCRIPTS}
    servers["no-auth"] = ScriptedServer(features=("PIPELINING",))
    profiles = make_profiles(lab, postfix, servers)
    broker = lab.broker(profiles)
    lab.worker(broker, roots=[lab.folder("drop")])
    wait_until(lambda: "\"name\"" in lab.tpn(broker, "status", "--json").stdout, "the worker")
    got = ""
    for name in sorted(profiles):
        words = () if name == "all-well" else ("--from", "cal@lab.test", "--to", "bob@away.test")
        result = lab.tpn(broker, "profile", "test", name, *words)
        got += f"== {name}, exit {result.returncode}\n{mask(result.stdout)}{mask(result.stderr)}\n"
    compare_golden(GOLDEN, got)
    for name, server in servers.items():
        commands = server.commands if isinstance(server.commands, list) else []
        check(not [line for line in commands if line.upper().startswith((b"DATA", b"BDAT"))], f"{name}: content was offered")
    check_equal(postfix.mails(), [], "mails of a test")
    check_equal(sorted(path.name for path in (lab.dir / "drop" / "good").iterdir()), [], "files of a test")


def test_a_trial_of_another_tls_mode_never_logs_in(lab):
    """The profile wants TLS and has a login; the server does clear text only, and would take the password."""
    with ScriptedServer() as server:
        broker = lab.broker({"lab": smtp_profile(server.port, **SHORT, use_tls=True, authentication="basic", user_name=USER,
                                                 password=secret(lab))})
        lab.worker(broker)
        result = wait_for_worker(lab, broker, "lab")
        check_equal(result.returncode, 1, "exit code")
        check("does no TLS on port" in result.stdout, result.stdout)
        check(not [line for line in server.commands if line.upper().startswith((b"AUTH", b"MAIL"))], f"{server.commands}")


def wait_for_worker(lab, broker, profile, *words):
    """The first test may come before the worker has said READY."""
    found = []

    def asked():
        found[:] = [lab.tpn(broker, "profile", "test", profile, *words)]
        return "no worker" not in found[0].stdout
    wait_until(asked, "a worker that makes the test")
    return found[0]


def test_without_a_worker_it_says_so(lab):
    broker = lab.broker({"lab": smtp_profile(free_port())})
    result = lab.tpn(broker, "profile", "test", "lab")
    check_equal(result.returncode, 1, "exit code")
    check("no worker that can test settings is connected" in result.stdout and "Start tpn-worker" in result.stdout,
          result.stdout)


def test_a_worker_that_dies_ends_the_test(lab):
    server = lab.faultd("greet-never")
    broker = lab.broker({"lab": smtp_profile(server.port, connect_timeout="60s")})
    worker = lab.worker(broker)
    wait_until(lambda: "\"name\"" in lab.tpn(broker, "status", "--json").stdout, "the worker")
    client = prober(lab, broker)
    client.send(profile="lab")
    wait_until(lambda: server.connections > 0, "the worker to connect")
    verb, error = client.ask(profile="lab")
    check_equal((verb, error.field), ("ERROR", "profile"), "a second test of the same profile")
    worker.kill()
    verb, report = client.receive()
    check_equal((verb, report.passed, report.steps[0].text), ("PROBED", False, "the worker was lost during the test"),
                "the report")


def test_settings_of_its_own_follow_the_rules_of_requests(lab):
    server = ScriptedServer()
    broker = lab.broker({})
    lab.worker(broker, config={"egress": {"allow": ["127.0.0.0/8"]}})
    client = prober(lab, broker)
    good = lab.pb.MailingSettings(smtp_server="127.0.0.1", smtp_port=server.port)
    rows = (
        ("profile", {}), ("profile", {"profile": "nobody"}),
        ("settings.password", {"settings": lab.pb.MailingSettings(smtp_server="127.0.0.1", password="x")}),
        ("from", {"settings": good, "from": "no address"}),
        ("recipient", {"settings": good, "recipient": "ana@"}),
    )
    for field, fields in rows:
        verb, error = client.ask(**fields)
        check_equal((verb, error.field), ("ERROR", field), f"{fields}")
    wait_until(lambda: client.ask(settings=good)[1].passed, "good settings to pass")
    _, report = client.ask(settings=lab.pb.MailingSettings(smtp_server="169.254.169.254"))
    check_equal((report.passed, any("egress.allow" in step.remedy for step in report.steps)), (False, True), "a forbidden address")
    _, report = client.ask(settings=lab.pb.MailingSettings(smtp_server="127.0.0.1", smtp_port=465))
    check_equal((report.passed, [step.remedy[:8] for step in report.steps]), (False, ["Port 465"]), "465 without TLS")


def test_send_to_sends_one_mail(lab):
    sink = lab.sink()
    broker = lab.broker({"lab": smtp_profile(sink.port)})
    lab.worker(broker)
    result = wait_for_worker(lab, broker, "lab", "--from", USER, "--send-to", "bob@away.test")
    check_equal(result.returncode, 0, result.stdout + result.stderr)
    check_equal(len(sink.mails()), 1, "mails")
    check_equal(lab.tpn(broker, "profile", "test", "lab", "--send-to", "bob@away.test").returncode, 2, "without --from")


def test_json_is_the_report(lab):
    with ScriptedServer() as server:
        broker = lab.broker({"lab": smtp_profile(server.port)})
        lab.worker(broker)
        tree = json.loads(wait_for_worker(lab, broker, "lab", "--json").stdout)
        check_equal((tree["passed"], tree["profile"], [step["name"] for step in tree["steps"]]),
                    (True, "lab", ["SETTINGS", "DNS", "TCP", "GREETING", "EHLO", "MAIL", "RCPT", "RSET"]), "JSON")


run(globals())
