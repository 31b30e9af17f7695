"""Servers that are broken on purpose or out to do harm: a row for each, with the outcome, the class and the step that are
told. The connection is closed, the worker's memory stays small, and no content goes to a server that is out of step."""
import dataclasses
import re
import socket
import subprocess

from tpn_harness import SLOW, Skip, check, check_equal, run, smtp_profile, wait_until
from tpn_wire import class_name, outcome_name, phase_name, state_name

import postfix_peer  # in tests/peers, which tpn_harness puts on the path

TIME_LIMITS = {name: f"{int(2500 * SLOW)}ms" for name in ("connect_timeout", "reply_timeout", "content_timeout")}
RETRY_NEVER = {"retry": {"delays": ["1h"]}}
SETTLED = ("SENT", "DEFERRED", "FAILED", "UNKNOWN")
ANN = "ann@example.test"
MEMORY_MIB = 400  # of the worker at its peak, sanitized too; the endless answers alone are more than that


@dataclasses.dataclass(frozen=True)
class Row:
    """A fault and what must be told of it; says: words of the text."""

    mode: str
    state: str
    outcome: str
    phase: str
    code: int
    failure_class: str
    says: str = ""
    contents: int = 0    # mails whose final dot the server saw
    padding: int = 0     # bytes of attachment, for faults amid the content
    tls: str = ""        # of the connection, as it must be told


def deferred(mode, phase, code, failure_class, **more):
    return Row(mode, "DEFERRED", "DEFERRED", phase, code, failure_class, **more)


def sent(mode, code=250, **more):
    return Row(mode, "SENT", "DELIVERED", "FINAL_DOT", code, "NONE", contents=1, **more)


def unknown(mode, code=0, **more):
    return Row(mode, "UNKNOWN", "UNKNOWN", "FINAL_DOT", code, "UNCERTAIN", contents=1, **more)


ROWS = (
    # Answers without an end, too long, byte by byte, or that are none.
    deferred("greet-endless", "CONNECT", 0, "HOST_DOWN"),
    deferred("greet-huge", "CONNECT", 0, "HOST_DOWN"),
    deferred("ehlo-endless", "EHLO", 0, "HOST_DOWN"),
    deferred("ehlo-drip", "EHLO", 0, "HOST_DOWN", says="no answer in time"),
    deferred("mail-endless", "MAIL", 0, "TRANSIENT", says="no SMTP reply"),
    deferred("mail-huge", "MAIL", 0, "TRANSIENT", says="no SMTP reply"),
    deferred("mail-drip", "MAIL", 0, "TRANSIENT", says="no reply in time"),
    deferred("mail-garbage", "MAIL", 0, "TRANSIENT", says="no SMTP reply"),
    deferred("mail-099", "MAIL", 0, "TRANSIENT", says="no SMTP reply"),
    deferred("mail-two-codes", "MAIL", 0, "TRANSIENT", says="no SMTP reply"),
    deferred("mail-bare-cr", "MAIL", 0, "TRANSIENT", says="no reply in time"),
    unknown("dot-endless", says="no SMTP reply"),
    unknown("dot-drip", says="no reply in time"),
    Row("mail-escape", "FAILED", "REFUSED", "MAIL", 550, "MESSAGE", says="red"),
    sent("mail-bare-lf"),
    # Answers at the wrong time: too many, too few, too early, of another command.
    deferred("mail-354", "MAIL", 0, "TRANSIENT", says="does not fit"),
    deferred("mail-twice", "RCPT", 0, "TRANSIENT", says="does not fit"),
    deferred("rcpt-missing", "RCPT", 0, "TRANSIENT"),
    deferred("rcpt-354", "RCPT", 0, "TRANSIENT", says="does not fit"),
    deferred("data-250", "DATA", 0, "TRANSIENT", says="does not fit"),
    deferred("early-250", "DATA", 0, "TRANSIENT", says="out of turn"),
    unknown("354-after-dot", code=354),
    sent("twice-after-dot"),
    sent("stumble"),
    # 421 at any moment.
    deferred("ehlo-421", "EHLO", 421, "HOST_DOWN"),
    deferred("mail-421", "MAIL", 421, "HOST_DOWN"),
    deferred("data-421", "DATA", 421, "HOST_DOWN"),
    deferred("body-421", "CONTENT", 421, "HOST_DOWN", padding=8 << 20),
    deferred("421-after-dot", "FINAL_DOT", 421, "HOST_DOWN", contents=1),
    sent("idle-421"),
    # It stops reading amid the content.
    deferred("body-stall", "CONTENT", 0, "TRANSIENT", padding=8 << 20, says="no reply in time"),
    sent("utf8"),
)

# With STARTTLS, and the tests' own CA.
TLS_ROWS = (
    sent("cert-srv", tls="TLSv1.3"),
    sent("tls12", tls="TLSv1.2"),
    # Replies that OpenSSL holds while the socket tells nothing, and records that come in pieces.
    sent("tls-records", tls="TLSv1.3"),
    sent("tls12-records", tls="TLSv1.2"),
    sent("tls-cut", tls="TLSv1.3"),
    deferred("tls10", "TLS", 0, "CONFIGURATION", says="handshake"),
    deferred("cert-dnsonly", "TLS", 0, "CONFIGURATION", says="certificate"),
    deferred("cert-wrong", "TLS", 0, "CONFIGURATION", says="certificate"),
    deferred("cert-expired", "TLS", 0, "CONFIGURATION", says="certificate"),
    deferred("cert-self", "TLS", 0, "CONFIGURATION", says="certificate"),
    deferred("no-starttls", "TLS", 0, "CONFIGURATION", says="STARTTLS"),
    deferred("starttls-454", "TLS", 454, "TRANSIENT"),
    deferred("starttls-502", "TLS", 502, "CONFIGURATION"),
    deferred("starttls-close", "TLS", 0, "HOST_DOWN"),
    deferred("starttls-garbage", "TLS", 0, "CONFIGURATION", says="TLS handshake failed"),
    deferred("starttls-inject", "TLS", 0, "CONFIGURATION", says="more than the answer to STARTTLS"),
)

# With a login by name and password, in clear text because the profile allows it.
AUTH_ROWS = (
    sent("auth-eq"),
    deferred("auth-535", "AUTH", 535, "LOGIN", says="credentials invalid"),
    deferred("auth-534", "AUTH", 534, "LOGIN"),
    deferred("auth-530", "AUTH", 530, "LOGIN"),
    deferred("auth-432", "AUTH", 432, "LOGIN"),
    deferred("auth-454", "AUTH", 454, "TRANSIENT"),
    deferred("auth-421", "AUTH", 421, "HOST_DOWN"),
    deferred("auth-250", "AUTH", 0, "CONFIGURATION"),
    deferred("auth-garbage", "AUTH", 0, "CONFIGURATION"),
    deferred("auth-endless", "AUTH", 0, "CONFIGURATION"),
    deferred("auth-drip", "AUTH", 0, "HOST_DOWN"),
    deferred("auth-drop", "AUTH", 0, "HOST_DOWN"),
    deferred("auth-none", "AUTH", 0, "CONFIGURATION", says="offered no AUTH"),
    deferred("auth-gssapi", "AUTH", 0, "CONFIGURATION", says="AUTH"),
)


def send(lab, publisher, row):
    to = ["jörg@example.test"] if row.mode == "utf8" else [ANN]
    request = lab.request(row.mode, to=to, profile=row.mode)
    if row.padding:
        request.message.attachments.add(file_name="pad.bin", content=b"\0" * row.padding)
    publisher.submit(request)


def compare(lab, row, event, server):
    """A sentence for each thing that is not as wanted."""
    one = event.recipients[0]
    got = {"state": state_name(lab.pb, event.state), "outcome": outcome_name(lab.pb, one.outcome),
           "phase": phase_name(lab.pb, one.phase), "code": one.smtp_code,
           "failure_class": class_name(lab.pb, one.failure_class), "contents": len(server.contents),
           "tls": event.tls_version if row.tls else ""}
    wrong = [f"{key}: got {got[key]!r}, wanted {getattr(row, key)!r}" for key in got if got[key] != getattr(row, key)]
    if row.says not in one.text or not one.text:
        wrong.append(f"text: got {one.text!r}, wanted {row.says!r} in it")
    return wrong


def report(lab, row, event, server):
    """Each fault by its own name; returns how many were wrong."""
    wrong = compare(lab, row, event, server)
    print(f"  {'not ok' if wrong else 'ok'} - {row.mode}" + "".join(f"\n#   {words}" for words in wrong))
    return len(wrong)


def peak_mib(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read())[1]) // 1024


def run_rows(lab, rows, folder=None, **settings):
    servers = {row.mode: lab.faultd(row.mode, certificates=folder) for row in rows}
    broker = lab.broker({mode: smtp_profile(server.port, idle_timeout="1s", **TIME_LIMITS, **settings)
                         for mode, server in servers.items()}, RETRY_NEVER)
    worker = lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    for row in rows:
        send(lab, publisher, row)
    wrong = 0
    for row in rows:
        wrong += report(lab, row, follower.wait_state(row.mode, *SETTLED, timeout_s=30), servers[row.mode])
    check_equal(wrong, 0, "what is not as wanted, see above")
    check(worker.alive(), "the worker ended")
    check(peak_mib(worker) < MEMORY_MIB, f"the worker needed {peak_mib(worker)} MiB")
    for row in rows:
        if row.state != "SENT":
            server = servers[row.mode]
            wait_until(lambda s=server: s.open == 0, f"the connection of {row.mode} to close")
    return servers, follower, publisher


def test_each_fault_has_its_outcome(lab):
    servers, follower, publisher = run_rows(lab, ROWS)
    for content, _ in (one for server in servers.values() for one in server.contents):
        check(b"\r\n." not in content, "what follows a dot")
    text = follower.of("mail-escape")[-1].recipients[0].text
    check("\x1b" not in text and "\0" not in text and "\ufffd" not in text, f"control bytes of a server: {text!r}")
    # A second mail to a server that said goodbye, or more than it should, behind the first: at once, over a new connection.
    for mode in ("idle-421", "twice-after-dot"):
        publisher.submit(lab.request(f"{mode}-again", profile=mode))
        event = follower.wait_state(f"{mode}-again", *SETTLED)
        check_equal((state_name(lab.pb, event.state), event.attempt), ("SENT", 1), f"{mode}: the next mail")
        check_equal((len(servers[mode].accepted), servers[mode].connections), (2, 2), f"{mode}: mails, connections")


def test_each_fault_of_tls_has_its_outcome(lab):
    folder = postfix_peer.fault_certificates(lab.folder("pki"))
    servers, _, _ = run_rows(lab, TLS_ROWS, folder, use_tls=True, ca_file=str(folder / "ca.pem"))
    for mode, server in servers.items():
        if not next(row for row in TLS_ROWS if row.mode == mode).tls:
            check(not any(c.upper().startswith((b"MAIL", b"AUTH")) for c in server.commands),
                  f"{mode}: went on without TLS: {server.commands}")


def test_each_fault_of_a_login_has_its_outcome(lab):
    """One try at a login each, and no mail without the server's 235."""
    secret = lab.dir / "secret"
    secret.write_text("s3cret\n", encoding="ascii")
    secret.chmod(0o600)
    servers, _, _ = run_rows(lab, AUTH_ROWS, authentication="basic", user_name="user", password=f"file:{secret}",
                             allow_cleartext_auth=True)
    for mode, server in servers.items():
        logins = sum(command.upper().startswith(b"AUTH") for command in server.commands)
        check_equal(logins, 0 if mode in ("auth-none", "auth-gssapi") else 1, f"{mode}: logins tried")
        if mode != "auth-eq":
            check(not any(c.upper().startswith(b"MAIL") for c in server.commands), f"{mode}: a mail without 235")


def test_the_name_of_two_addresses_is_tried_at_both(lab):
    """Happy eyeballs (RFC 8305): both.test is ::1 and 127.0.0.1; ::1 lets us wait, 127.0.0.1 answers. Well before the
    time to connect is over, the mail goes to the one that answers."""
    server = lab.faultd()
    try:
        silent = lab.enter_context(socket.create_server(("::1", server.port), family=socket.AF_INET6, backlog=0))
    except OSError as reason:
        raise Skip(f"no IPv6 on loopback: {reason}") from None
    hosts = lab.dir / "hosts"
    hosts.write_text("127.0.0.1 localhost both.test\n::1 both.test\n", encoding="ascii")
    in_own_hosts = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts))
    if subprocess.run([*in_own_hosts, "true"], capture_output=True, check=False).returncode != 0:
        raise Skip("no mount namespace of our own: not root?")
    for _ in range(4):  # fill its queue: further connections get no answer at all
        waiting = lab.enter_context(socket.socket(socket.AF_INET6))
        waiting.setblocking(False)
        waiting.connect_ex(silent.getsockname())
    broker = lab.broker({"lab": smtp_profile(server.port, connect_timeout="1h") | {"smtp_server": "both.test"}}, RETRY_NEVER)
    lab.worker(broker, wrap=in_own_hosts, config={"egress": {"allow": ["127.0.0.1", "::1"]}})
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("both"))
    event = follower.wait_state("both", *SETTLED)
    check_equal((state_name(lab.pb, event.state), len(server.accepted)), ("SENT", 1), "state, mails")


run(globals())
