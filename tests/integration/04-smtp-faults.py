"""Servers that misbehave: what each recipient is told, at which step, and that nothing is sent again that may have arrived."""
import dataclasses
import pathlib

from tpn_harness import SLOW, check, check_equal, parse_mail, run, smtp_profile, wait_until
from tpn_wire import outcome_name, phase_name, state_name

import faultd  # in tests/peers, which tpn_harness puts on the path

# Long enough for a busy machine, short enough for the rows that run into them.
TIME_LIMITS = {name: f"{int(3000 * SLOW)}ms" for name in ("connect_timeout", "reply_timeout", "content_timeout")}
RETRY_NEVER = {"retry": {"delays": ["1h"]}}
ANN = "ann@example.test"


@dataclasses.dataclass(frozen=True)
class Row:
    """A fault and what must come of it: {address: (outcome, phase, code)}."""

    mode: str
    state: str
    wanted: dict
    contents: int = 0     # mails whose final dot the server saw
    partial: bool = False
    padding: int = 0      # bytes of attachment, for faults amid the content


def one(outcome, phase, code):
    return {ANN: (outcome, phase, code)}


DELIVERED = one("DELIVERED", "FINAL_DOT", 250)
ROWS = (
    Row("plain", "SENT", DELIVERED, 1),
    Row("no-pipelining", "SENT", DELIVERED, 1),
    Row("no-ehlo", "SENT", DELIVERED, 1),
    Row("drip", "SENT", DELIVERED, 1),
    Row("quit-stall", "SENT", DELIVERED, 1),
    Row("close-after-250", "SENT", DELIVERED, 1),
    Row("multi-after-dot", "SENT", DELIVERED, 1),
    Row("251-after-dot", "SENT", one("DELIVERED", "FINAL_DOT", 251), 1),
    # Nothing was sent: it is tried again.
    Row("greet-421", "DEFERRED", one("DEFERRED", "CONNECT", 421)),
    Row("greet-554", "DEFERRED", one("DEFERRED", "CONNECT", 554)),
    Row("greet-never", "DEFERRED", one("DEFERRED", "CONNECT", 0)),
    Row("greet-close", "DEFERRED", one("DEFERRED", "CONNECT", 0)),
    Row("greet-rst", "DEFERRED", one("DEFERRED", "CONNECT", 0)),
    Row("greet-garbage", "DEFERRED", one("DEFERRED", "CONNECT", 0)),
    Row("mail-530", "DEFERRED", one("DEFERRED", "MAIL", 530)),
    Row("mail-452", "DEFERRED", one("DEFERRED", "MAIL", 452)),
    Row("data-451", "DEFERRED", one("DEFERRED", "DATA", 451)),
    Row("data-drop", "DEFERRED", one("DEFERRED", "DATA", 0)),
    Row("body-rst", "DEFERRED", one("DEFERRED", "CONTENT", 0), padding=8 << 20),
    Row("body-drop", "DEFERRED", one("DEFERRED", "CONTENT", 0), padding=8 << 20),
    Row("451-after-dot", "DEFERRED", one("DEFERRED", "FINAL_DOT", 451), 1),
    # Final refusals.
    Row("data-554", "FAILED", one("REFUSED", "DATA", 554)),
    Row("552-after-dot", "FAILED", one("REFUSED", "FINAL_DOT", 552), 1),
    Row("554-after-dot", "FAILED", one("REFUSED", "FINAL_DOT", 554), 1),
    # It may have arrived: nobody can know, and it is not sent again.
    Row("drop-after-dot", "UNKNOWN", one("UNKNOWN", "FINAL_DOT", 0), 1),
    Row("rst-after-dot", "UNKNOWN", one("UNKNOWN", "FINAL_DOT", 0), 1),
    Row("stall-after-dot", "UNKNOWN", one("UNKNOWN", "FINAL_DOT", 0), 1),
    Row("garbage-after-dot", "UNKNOWN", one("UNKNOWN", "FINAL_DOT", 0), 1),
)

# One server that answers each RCPT in its own way.
MIXES = (
    ("one refused", {"ann@e.test": ("DELIVERED", "FINAL_DOT", 250), "no1@e.test": ("REFUSED", "RCPT", 550)},
     "FAILED", True),
    ("one deferred", {"ann@e.test": ("DELIVERED", "FINAL_DOT", 250), "grey1@e.test": ("DEFERRED", "RCPT", 450)},
     "DEFERRED", True),
    ("all refused", {"no1@e.test": ("REFUSED", "RCPT", 550), "no2@e.test": ("REFUSED", "RCPT", 550)},
     "FAILED", False),
    ("every kind", {"ann@e.test": ("DELIVERED", "FINAL_DOT", 250), "no1@e.test": ("REFUSED", "RCPT", 550),
                    "grey1@e.test": ("DEFERRED", "RCPT", 450), "full1@e.test": ("DEFERRED", "RCPT", 452),
                    "quota1@e.test": ("DEFERRED", "RCPT", 552), "fwd1@e.test": ("DELIVERED", "FINAL_DOT", 250)},
     "DEFERRED", True),
)
SETTLED = ("SENT", "DEFERRED", "FAILED", "UNKNOWN")


def told(lab, event):
    """{address: (outcome, phase, code)} of an event."""
    return {r.address: (outcome_name(lab.pb, r.outcome), phase_name(lab.pb, r.phase), r.smtp_code)
            for r in event.recipients}


def row_request(lab, row):
    request = lab.request(row.mode, to=list(row.wanted), profile=row.mode)
    if row.padding:
        request.message.attachments.add(file_name="pad.bin", content=b"\0" * row.padding)
    return request


def compare(lab, row, event, server):
    """Sentences for what is not as wanted."""
    got = {"state": state_name(lab.pb, event.state), "told": told(lab, event),
           "partial": event.partial, "contents": len(server.contents)}
    wanted = {"state": row.state, "told": row.wanted, "partial": row.partial, "contents": row.contents}
    return [f"{row.mode}: {key}: got {got[key]!r}, wanted {wanted[key]!r}"
            for key in wanted if got[key] != wanted[key]]


def test_each_fault_has_its_outcome(lab):
    servers = {row.mode: lab.faultd(row.mode) for row in ROWS}
    broker = lab.broker({mode: smtp_profile(server.port, **TIME_LIMITS)
                         for mode, server in servers.items()}, RETRY_NEVER)
    worker = lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    for row in ROWS:
        publisher.submit(row_request(lab, row))
    wrong = []
    for row in ROWS:
        event = follower.wait_state(row.mode, *SETTLED, timeout_s=30)
        differences = compare(lab, row, event, servers[row.mode])
        print(f"  {'not ok' if differences else 'ok'} - {row.mode}")
        wrong += differences
        for content, _ in servers[row.mode].contents:
            parse_mail(content)
        texts = {r.text for r in event.recipients}
        check("" not in texts, f"{row.mode}: a recipient without a word of reason: {event}")
    check(not wrong, "\n".join(wrong))
    queue_id = follower.of("multi-after-dot")[-1].queue_id
    check_equal(queue_id, "4FZq1", "the server's own name for the mail")
    check(worker.alive(), "the worker ended")


def test_each_recipient_has_its_own_outcome(lab):
    server = lab.faultd()
    broker = lab.broker({"lab": smtp_profile(server.port, **TIME_LIMITS)}, RETRY_NEVER)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    for name, wanted, state, partial in MIXES:
        request_id = name.replace(" ", "-")
        publisher.submit(lab.request(request_id, to=list(wanted)))
        event = follower.wait_state(request_id, *SETTLED)
        check_equal(told(lab, event), wanted, name)
        check_equal(state_name(lab.pb, event.state), state, f"{name}: state")
        check_equal(event.partial, partial, f"{name}: partial flag")


def test_server_that_goes_amid_the_recipients(lab):
    server = lab.faultd()
    broker = lab.broker({"lab": smtp_profile(server.port, **TIME_LIMITS)}, RETRY_NEVER)
    lab.worker(broker)
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("drop", to=["ann@e.test", "drop1@e.test", "bob@e.test"]))
    event = follower.wait_state("drop", *SETTLED)
    check_equal(state_name(lab.pb, event.state), "DEFERRED", "state")
    check_equal({outcome for outcome, _, _ in told(lab, event).values()}, {"DEFERRED"}, "outcomes")
    check_equal(server.contents, [], "content at the server")


def test_mail_limit_of_a_connection_costs_nothing(lab):
    """421 to the third MAIL of a connection: the rest goes over new ones, all arrive once, none waits an hour."""
    server = lab.faultd("mail-421-3rd")
    broker = lab.broker({"lab": smtp_profile(server.port, max_connections=1, **TIME_LIMITS)}, RETRY_NEVER)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    ids = [f"limit-{n}" for n in range(7)]
    for request_id in ids:
        publisher.submit(lab.request(request_id))
    for request_id in ids:
        follower.wait_state(request_id, "SENT")
    check_equal(len(server.accepted), len(ids), "mails at the server")


def test_unknown_is_resent_only_by_policy(lab):
    """resend_marked sends again with the same Message-ID; hold, the default, never does (first test)."""
    server = lab.faultd("drop-after-dot")
    profile = smtp_profile(server.port, unknown_policy="resend_marked", **TIME_LIMITS)
    broker = lab.broker({"lab": profile}, {"retry": {"delays": ["1s"]}})
    lab.worker(broker)
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("marked"))
    wait_until(lambda: server.contents, "the first attempt")
    server.set_mode("plain")
    follower.wait_state("marked", "SENT")
    ids = {parse_mail(content)["Message-ID"] for content, _ in server.contents}
    check_equal(len(ids), 1, "Message-IDs of the attempts")


def test_refused_login_is_not_repeated(lab):
    """535: kept, told as such, and the account is not hammered."""
    server = lab.faultd("auth-535")
    secret = lab.dir / "secret"
    secret.write_text("not-the-password\n")
    secret.chmod(0o600)
    profile = smtp_profile(server.port, authentication="basic", user_name="user", password=f"file:{secret}",
                           allow_cleartext_auth=True, max_connections=1, **TIME_LIMITS)
    broker = lab.broker({"lab": profile}, RETRY_NEVER)
    worker = lab.worker(broker)
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("login"))
    event = follower.wait_state("login", *SETTLED)
    check_equal(state_name(lab.pb, event.state), "DEFERRED", "state")
    check_equal(told(lab, event), one("DEFERRED", "AUTH", 535), "told")
    tries = [c for c in server.commands if c.upper().startswith(b"AUTH")]
    check_equal(len(tries), 1, "logins tried")
    check_equal(server.contents, [], "mail without a login")
    for process in (broker, worker):
        check("not-the-password" not in process.text(), f"the password stands in the log of {process.name}")


def test_size_of_the_server_is_respected(lab):
    server = lab.faultd("size-1000")
    broker = lab.broker({"lab": smtp_profile(server.port, **TIME_LIMITS)}, RETRY_NEVER)
    lab.worker(broker)
    follower = lab.follower(broker)
    request = lab.request("large")
    request.message.text = "x" * 70 + "\n" + "line\n" * 2000
    lab.publisher(broker).submit(request)
    event = follower.wait_state("large", *SETTLED)
    check_equal(state_name(lab.pb, event.state), "FAILED", "state")
    check_equal(server.contents, [], "content at the server")
    check("1000" in event.recipients[0].text, f"text names the limit: {event.recipients[0].text!r}")


# A fault that no test asks for would be dead code of the fake server.
TESTS = "".join(path.read_text(encoding="utf-8") for path in pathlib.Path(__file__).parent.glob("*.py"))
UNUSED = {mode for mode in faultd.MODES if f'"{mode}"' not in TESTS}
assert not UNUSED, UNUSED

run(globals())
