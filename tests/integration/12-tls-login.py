"""TLS and logins against a real Postfix with Cyrus SASL: what goes through, and that nothing is sent where it must not."""
import dataclasses
import signal
import subprocess

from tpn_harness import (check, check_equal, find_program, parse_mail, run, smtp_profile, wait_until,
                         write_yaml)
from tpn_wire import outcome_name, phase_name, state_name

import postfix_peer  # in tests/peers, which tpn_harness puts on the path

LIMITS = {"connect_timeout": "20s", "reply_timeout": "20s", "content_timeout": "20s"}
RETRY_NEVER = {"retry": {"delays": ["1h"]}}
SETTLED = ("SENT", "DEFERRED", "FAILED", "UNKNOWN")
WRONG_PIN = "sha256//" + "A" * 43 + "="
ANY_TLS = ("TLSv1.2", "TLSv1.3")


@dataclasses.dataclass(frozen=True)
class Row:
    """A profile and what comes of a mail through it. Where the text holds every word of `says`."""

    name: str
    port: str
    settings: dict = dataclasses.field(default_factory=dict)
    login: bool = False
    state: str = "SENT"
    told: tuple = ("DELIVERED", "FINAL_DOT", 250)
    tls: tuple = ANY_TLS
    says: tuple = ()


STARTTLS = {"use_tls": True, "ca_file": "@CA@"}
IMPLICIT = {"use_tls": True, "tls_mode": "implicit", "ca_file": "@CA@"}
NO_TLS = ("",)
REFUSED_TLS = {"state": "DEFERRED", "told": ("DEFERRED", "TLS", 0), "tls": NO_TLS}
NO_LOGIN = {"state": "DEFERRED", "told": ("DEFERRED", "AUTH", 0), "tls": NO_TLS, "login": True}

ROWS = (
    Row("anonymous-clear", "port", tls=NO_TLS),
    Row("anonymous-starttls", "port", STARTTLS),
    Row("plain-over-starttls", "submission", STARTTLS, login=True),
    Row("plain-over-implicit", "implicit", IMPLICIT, login=True),
    Row("login-over-starttls", "login_only", STARTTLS, login=True),
    Row("clear-login-allowed", "clear", {"use_tls": False, "allow_cleartext_auth": True}, login=True, tls=NO_TLS),
    Row("pin-right", "submission", {**STARTTLS, "pinned_public_key": "@PIN@"}, login=True),
    Row("pin-right-no-ca", "submission", {"use_tls": True, "tls_no_verify": True, "pinned_public_key": "@PIN@"},
        login=True),
    Row("pin-wrong", "submission", {**STARTTLS, "pinned_public_key": WRONG_PIN}, login=True, says=("pin",),
        **REFUSED_TLS),
    Row("pin-wrong-no-verify", "submission",
        {"use_tls": True, "tls_no_verify": True, "pinned_public_key": WRONG_PIN}, login=True, says=("pin",),
        **REFUSED_TLS),
    Row("ca-not-trusted", "submission", {"use_tls": True}, login=True, says=("certificate",), **REFUSED_TLS),
    Row("ca-not-trusted-implicit", "implicit", {**IMPLICIT, "ca_file": "@OTHER_CA@"}, login=True,
        says=("certificate",), **REFUSED_TLS),
    Row("name-mismatch", "wrong_name", STARTTLS, login=True, says=("certificate", "localhost"), **REFUSED_TLS),
    Row("starttls-not-offered", "clear", STARTTLS, login=True, says=("STARTTLS",), **REFUSED_TLS),
    Row("implicit-at-a-clear-port", "clear", IMPLICIT, login=True, says=("STARTTLS",), **REFUSED_TLS),
    Row("no-auth-offered", "port", STARTTLS, says=("AUTH",), **NO_LOGIN),
    Row("no-auth-offered-in-clear", "port", {"use_tls": False, "allow_cleartext_auth": True}, says=("AUTH",),
        **NO_LOGIN),
    Row("cram-md5-over-starttls", "cram_only", STARTTLS, login=True),
    Row("no-common-mechanism", "cram_only", {**STARTTLS, "login_mechanisms": "plain login"},
        says=("PLAIN LOGIN", "CRAM-MD5"), **NO_LOGIN),
    Row("anonymous-where-login-is-needed", "submission", STARTTLS, state="FAILED", told=("REFUSED", "RCPT", 554)),
)


def server_pin(certificate):
    """sha256//BASE64 of the SubjectPublicKeyInfo, made with openssl as the manual of libcurl says."""
    pipeline = (f"openssl x509 -in '{certificate}' -pubkey -noout | openssl pkey -pubin -outform der |"
                " openssl dgst -sha256 -binary | openssl base64 -A")
    return "sha256//" + subprocess.run(pipeline, shell=True, check=True, text=True, capture_output=True).stdout


def write_secret(lab, text=postfix_peer.PASSWORD, name="secret"):
    secret = lab.dir / name
    secret.write_text(text + "\n", encoding="utf-8")
    secret.chmod(0o600)
    return f"file:{secret}"


def with_login(lab):
    return {"authentication": "basic", "user_name": postfix_peer.USER, "password": write_secret(lab)}


def row_profile(lab, postfix, row, words):
    settings = dict(row.settings)
    for key, value in settings.items():
        settings[key] = words.get(value, value) if isinstance(value, str) else value
    port = postfix.port if row.port == "port" else postfix.ports[row.port]
    login = with_login(lab) if row.login else {}
    return {"use_tls": False, **LIMITS, **login, **settings, "smtp_server": "localhost", "smtp_port": port}


def told(lab, event):
    (r,) = event.recipients
    return outcome_name(lab.pb, r.outcome), phase_name(lab.pb, r.phase), r.smtp_code


def compare(lab, row, event):
    text = event.recipients[0].text
    wrong = []
    if state_name(lab.pb, event.state) != row.state or told(lab, event) != row.told:
        wrong.append(f"{state_name(lab.pb, event.state)} {told(lab, event)}, wanted {row.state} {row.told}")
    if event.tls_version not in row.tls:
        wrong.append(f"TLS {event.tls_version!r}, wanted one of {row.tls}")
    wrong += [f"{word!r} is missing" for word in row.says if word not in text]
    return [f"{row.name}: {sentence} (text {text!r})" for sentence in wrong]


def test_tls_and_login(lab):
    postfix = lab.postfix(logins=True)
    other = postfix_peer.Authority(lab.folder("other"), "nobody's")
    words = {"@CA@": str(postfix.certificate), "@OTHER_CA@": str(other.certificate),
             "@PIN@": server_pin(postfix.folder / "etc" / "server.pem")}
    broker = lab.broker({row.name: row_profile(lab, postfix, row, words) for row in ROWS}, RETRY_NEVER)
    worker = lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    for row in ROWS:
        publisher.submit(lab.request(row.name, profile=row.name))
    wrong = []
    for row in ROWS:
        wrong += compare(lab, row, follower.wait_state(row.name, *SETTLED, timeout_s=40))
    check(not wrong, "\n".join(wrong))
    good = {row.name for row in ROWS if row.state == "SENT"}
    subjects = sorted(str(parse_mail(data)["Subject"]) for data in postfix.wait_mails(len(good)))
    check_equal(subjects, sorted(f"Due: {name}" for name in good), "mails that arrived")
    check_logins_of_the_server(postfix, good)
    for process in (broker, worker):
        check(postfix_peer.PASSWORD not in process.text(), f"the password stands in the log of {process.name}")


def check_logins_of_the_server(postfix, good):
    """Postfix's own word for who logged in how: smtpd logs sasl_method and sasl_username with each mail."""
    log = postfix.mail_log()
    logins = sum(1 for row in ROWS if row.login and row.name in good)
    check_equal(log.count(f"sasl_username={postfix_peer.USER}"), logins, "mails with a login in the server's log")
    check_equal(log.count("sasl_method=LOGIN"), 1, "logins with LOGIN")
    check_equal(log.count("sasl_method=CRAM-MD5"), 2, "logins with CRAM-MD5")
    check_equal(log.count("sasl_method=PLAIN"), logins - 3, "logins with PLAIN")


def test_wrong_password_is_tried_once(lab):
    postfix = lab.postfix(logins=True)
    profile = {**LIMITS, "smtp_server": "localhost", "smtp_port": postfix.ports["submission"], "use_tls": True,
               "ca_file": str(postfix.certificate), "authentication": "basic", "user_name": postfix_peer.USER,
               "password": write_secret(lab, "wr0ng pass%word", "wrong"), "max_connections": 1}
    broker = lab.broker({"lab": profile}, {"retry": {"delays": ["3s", "1h"]}})
    worker = lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("wrong"))
    event = follower.wait_state("wrong", "DEFERRED")
    check_equal(told(lab, event), ("DEFERRED", "AUTH", 535), "told")
    check_equal(event.recipients[0].enhanced_code, "5.7.8", "enhanced code")
    check_equal(failed_logins(postfix), 1, "logins of the first attempt")
    # The profile is held: neither the retry of this one nor another request is one more login.
    publisher.submit(lab.request("waits"))
    wait_until(lambda: "latch profile=lab code=535" in broker.text(), "the latch in the broker's log")
    told_people = lab.tpn(broker, "status").stdout
    check("profile lab is held" in told_people, f"tpn status does not tell of the held profile: {told_people}")
    # Statuses come in order, so whoever asked after that would have seen it leased.
    publisher.submit(lab.request("waits-too"))
    follower.wait_state("waits-too", "ACCEPTED")
    check_equal(follower.states("waits"), ["ACCEPTED"], "steps of a request of the held profile")
    check_equal(failed_logins(postfix), 1, "logins while the profile is held")
    check_equal(postfix.mails(), [], "mail without a login")
    # The login is mended and the broker is told: what waited goes out.
    write_secret(lab, postfix_peer.PASSWORD, "wrong")
    broker.child.send_signal(signal.SIGHUP)
    follower.wait_state("waits", "SENT", timeout_s=40)
    follower.wait_state("wrong", "SENT", timeout_s=40)
    check_equal(failed_logins(postfix), 1, "failed logins in the end")
    for process in (broker, worker):
        check("wr0ng" not in process.text(), f"the password stands in the log of {process.name}")


def failed_logins(postfix):
    return postfix.mail_log().count("authentication failed")


def test_credentials_without_tls_stop_the_broker(lab):
    """Such a profile is refused where it is read, with what to do; "clear-login-allowed" above is its way out."""
    port = lab.faultd("auth-ok").port
    profiles = lab.dir / "profiles.yaml"
    write_yaml(profiles, {"profiles": {"lab": {**smtp_profile(port), **with_login(lab)}}})
    result = subprocess.run([find_program("tpn-broker"), "--check-config", "--profiles", profiles], text=True,
                            capture_output=True, check=False, timeout=30)
    check_equal(result.returncode, 2, "exit status")
    check("authentication" in result.stderr and "allow_cleartext_auth" in result.stderr, result.stderr)


def test_credentials_in_a_request_are_refused(lab):
    server = lab.faultd("auth-ok")
    broker = lab.broker({})
    lab.worker(broker)
    request = lab.request("inline", profile="")
    settings = request.settings
    settings.smtp_server, settings.smtp_port = "127.0.0.1", server.port
    settings.authentication, settings.user_name = lab.pb.AUTHENTICATION_BASIC, "user"
    settings.password, settings.allow_cleartext_auth = "env:PATH", True
    receipt = lab.publisher(broker).submit(request)
    check_equal((receipt.status, receipt.field), (lab.pb.RECEIPT_STATUS_REJECTED, "settings.password"), "receipt")
    check_equal(server.connections, 0, "connections")


def test_missing_secret_is_told_before_anything_is_sent(lab):
    server = lab.faultd("auth-ok")
    profile = smtp_profile(server.port, authentication="basic", user_name="user",
                           password=f"file:{lab.dir / 'nowhere'}", allow_cleartext_auth=True, **LIMITS)
    broker = lab.broker({"lab": profile}, RETRY_NEVER)
    lab.worker(broker)
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("nowhere"))
    event = follower.wait_state("nowhere", *SETTLED)
    check_equal((state_name(lab.pb, event.state), *told(lab, event)), ("DEFERRED", "DEFERRED", "AUTH", 0), "told")
    check("nowhere" in event.recipients[0].text, f"text: {event.recipients[0].text}")
    check_equal(server.connections, 0, "connections")


run(globals())
