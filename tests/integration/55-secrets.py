"""Secrets: sealed by tpn and by openssl, opened by the worker alone, changed without a gap; and nowhere to be found
afterwards: not in a log of any level, an event, a store, a diary, a mail, an answer, the memory of the broker or a core."""
import base64
import contextlib
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import urllib.parse

from tpn_harness import (SLOW, Broker, Worker, check, check_equal, die_with_parent, find_program, pickup_profile, run, smtp_profile,
                         wait_until)
from tpn_wire import class_name, outcome_name, phase_name, state_name

import tpn_wire
from tpn_keys import Ring

import postfix_peer  # in tests/peers, which tpn_harness puts on the path
import token_peer

RETRY_NEVER = {"retry": {"delays": ["1h"]}}
SETTLED = ("SENT", "HANDED_OFF", "DEFERRED", "FAILED", "UNKNOWN")
LEVELS = ("error", "warn", "info", "debug")


class Identity:
    """A worker's certificate and key."""

    def __init__(self, lab, name, kind="rsa"):
        self.certificate, self.key = lab.dir / f"{name}.pem", lab.dir / f"{name}.key"
        algorithm = ["rsa:2048"] if kind == "rsa" else ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        subprocess.run(["openssl", "req", "-x509", "-newkey", *algorithm, "-nodes", "-keyout", self.key, "-out",
                        self.certificate, "-subj", f"/CN={name}", "-days", "2"], check=True, capture_output=True)
        self.key.chmod(0o600)


def opens(*identities):
    """Lines of worker.yaml."""
    return {"sealed": {"certificate": [str(i.certificate) for i in identities],
                       "key": [f"file:{i.key}" for i in identities]}}


def seal(text, *identities):
    words = [find_program("tpn"), "profile", "seal"]
    for identity in identities:
        words += ["--certificate", identity.certificate]
    result = subprocess.run(words, input=text, text=True, capture_output=True, check=True)
    check(re.fullmatch(r"sealed:[A-Za-z0-9+/]+=*\n", result.stdout), f"no sealed value: {result}")
    return result.stdout.strip()


def seal_by_openssl(text, identity, *more):
    der = subprocess.run(["openssl", "cms", "-encrypt", "-binary", "-outform", "DER", *more, identity.certificate],
                         input=text.encode(), capture_output=True, check=True).stdout
    return f"sealed:{base64.b64encode(der).decode()}"


def login(postfix, password):
    return {"smtp_server": "localhost", "smtp_port": postfix.ports["submission"], "use_tls": True,
            "ca_file": str(postfix.certificate), "authentication": "basic", "user_name": postfix_peer.USER,
            "password": password}


def test_sealed_values_open_at_the_worker(lab):
    """By tpn and by openssl, RSA and EC, CBC and GCM, one recipient and two; with a line end as echo makes one."""
    postfix = lab.postfix(logins=True)
    rsa, ec, other = Identity(lab, "rsa"), Identity(lab, "ec", "ec"), Identity(lab, "other")
    secret = postfix_peer.PASSWORD
    values = {"tpn-rsa": seal(secret, rsa), "tpn-ec": seal(secret, ec), "tpn-two": seal(secret, other, rsa),
              "line-end": seal_by_openssl(secret + "\n", rsa, "-aes-256-cbc"),
              "openssl-default": seal_by_openssl(secret, rsa), "openssl-gcm": seal_by_openssl(secret, rsa, "-aes-256-gcm"),
              "openssl-oaep": seal_by_openssl(secret, rsa, "-aes-256-cbc", "-recip", str(rsa.certificate), "-keyopt",
                                              "rsa_padding_mode:oaep"),
              "openssl-ec": seal_by_openssl(secret, ec, "-aes-256-cbc")}
    broker = lab.broker({name: login(postfix, value) for name, value in values.items()}, RETRY_NEVER)
    lab.worker(broker, config=opens(rsa, ec))
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    for name in values:
        publisher.submit(lab.request(name, profile=name))
        event = follower.wait_state(name, *SETTLED)
        check_equal(state_name(lab.pb, event.state), "SENT", f"{name}: {event.recipients}")


def test_what_a_worker_cannot_open_waits_with_the_reason(lab):
    server = lab.faultd("auth-ok")
    mine, other = Identity(lab, "mine"), Identity(lab, "other")
    rows = {"stranger": (seal("x", other), "another certificate"), "torn": (seal("x", mine)[:-8] + "AAAA", ""),
            "no-cms": ("sealed:" + base64.b64encode(b"secret").decode(), "CMS EnvelopedData")}
    plain = {"authentication": "basic", "user_name": "user", "allow_cleartext_auth": True}
    profiles = {name: smtp_profile(server.port, password=value, **plain) for name, (value, _) in rows.items()}
    profiles["no-key"] = smtp_profile(server.port, password=seal("x", mine), **plain)
    broker = lab.broker(profiles, RETRY_NEVER)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    worker = lab.worker(broker, config=opens(mine))
    for name, (_, words) in rows.items():
        publisher.submit(lab.request(name, profile=name))
        refused(lab, follower.wait_state(name, *SETTLED), words)
    worker.stop()
    lab.worker(broker, "keyless")
    publisher.submit(lab.request("no-key", profile="no-key"))
    refused(lab, follower.wait_state("no-key", *SETTLED), "sealed.key")
    check_equal(server.connections, 0, "connections")


def refused(lab, event, words):
    (r,) = event.recipients
    told = (state_name(lab.pb, event.state), outcome_name(lab.pb, r.outcome), phase_name(lab.pb, r.phase),
            class_name(lab.pb, r.failure_class))
    check_equal(told, ("DEFERRED", "DEFERRED", "AUTH", "CONFIGURATION"), f"{event.request_id}: {r.text}")
    check(r.text.startswith("password: ") and words in r.text, f"{event.request_id}: says {r.text}")


def test_a_broken_key_stops_the_worker_at_its_start(lab):
    broker = lab.broker({})
    one, two = Identity(lab, "one"), Identity(lab, "two")
    rows = (({"sealed": {"certificate": str(one.certificate), "key": f"file:{two.key}"}}, "not that of the certificate"),
            ({"sealed": {"certificate": str(one.certificate)}}, "as many as"),
            ({"sealed": {"certificate": str(one.certificate), "key": "file:/nowhere"}}, "sealed.key"),
            ({"sealed": {"certificate": str(one.certificate), "key": str(one.key)}}, "must be file:PATH"))
    for i, (config, words) in enumerate(rows):
        worker = lab.add(Worker(lab, broker, f"broken-{i}", config=config))
        try:
            worker.start()
        except AssertionError:
            pass
        wait_until(lambda w=worker: not w.alive(), "the worker to end")
        check_equal(worker.child.returncode, 2, f"exit status; said {worker.text()}")
        check(words in worker.text(), f"{words!r} is not in: {worker.text()}")


def test_the_terminal_does_not_show_the_secret(lab):
    """Asked twice with echo off; two that differ are refused; nothing is taken from the command line."""
    identity = Identity(lab, "w")
    for second, status in (("swordfish", 0), ("sword", 2)):
        pid, fd = pty.fork()
        if pid == 0:
            die_with_parent()
            os.execv(find_program("tpn"), ["tpn", "profile", "seal", "--certificate", str(identity.certificate)])
        said = expect(fd, b"Secret: ")
        os.write(fd, b"swordfish\n")
        said += expect(fd, b"Once more: ")
        os.write(fd, second.encode() + b"\n")
        said += expect(fd, None)
        os.close(fd)
        check_equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), status, f"exit status; said {said}")
        check(b"sword" not in said, f"the secret is shown: {said}")
        check((b"sealed:" in said) == (status == 0), f"said {said}")
    result = lab.tpn(lab.broker({}), "profile", "seal", "--certificate", identity.certificate, "swordfish")
    check_equal(result.returncode, 2, "exit status with a secret on the command line")
    check("swordfish" not in result.stdout + result.stderr, result.stderr)


def expect(fd, words):
    said = b""
    with contextlib.suppress(OSError):  # a closed terminal reads as EIO
        while words is None or words not in said:
            check(select.select([fd], [], [], 20 * SLOW)[0], f"waited for {words}; the terminal said {said}")
            part = os.read(fd, 4096)
            if not part:
                break
            said += part
    return said


# ---- a password inside a request ----

def inline(lab, request_id, port, password):
    request = lab.request(request_id, profile="")
    s = request.settings
    s.smtp_server, s.smtp_port, s.password = "127.0.0.1", port, password
    s.authentication, s.user_name, s.allow_cleartext_auth = lab.pb.AUTHENTICATION_BASIC, "user", True
    return request


def test_a_password_in_a_request_is_sealed_at_the_gate(lab):
    """Over CURVE, for a producer that may: the server gets it, and it stands nowhere at the broker. The same again is a
    duplicate; what else comes is refused by its rule."""
    identity, server = Identity(lab, "worker"), lab.faultd("auth-ok")
    ring = Ring(lab)
    ring.new("may", "producer", inline_settings=True, inline_password=True)
    ring.new("may-not", "producer", inline_settings=True)
    ring.new("w1", "worker")
    certificate = {"sealed": {"certificate": [str(identity.certificate)]}}
    broker = lab.broker({}, ring.config(**certificate, **RETRY_NEVER))
    lab.worker(broker, "w1", config=ring.worker("w1", **opens(identity), egress={"allow": ["127.0.0.0/8"]}))
    follower = lab.enter_context(contextlib.closing(tpn_wire.Follower(
        lab.pb, broker.endpoints["status"], "tpn1.may", curve=ring.curve("may"))))
    may, may_not = (lab.enter_context(contextlib.closing(tpn_wire.Publisher(
        lab.pb, broker.endpoints["submit"], curve=ring.curve(name)))) for name in ("may", "may-not"))
    secret = SECRETS["in a request"]
    pb = lab.pb
    for name, password in (("clear", secret), ("sealed", seal(secret, identity))):
        receipt = may.submit(inline(lab, name, server.port, password))
        check_equal(receipt.status, pb.RECEIPT_STATUS_ACCEPTED, f"{name}: {receipt}")
        event = follower.wait_state(name, *SETTLED)
        check_equal(state_name(pb, event.state), "SENT", f"{name}: {event.recipients}")
        again = may.submit(inline(lab, name, server.port, password))
        check_equal(again.status, pb.RECEIPT_STATUS_DUPLICATE, f"{name} again: {again}")
    other = inline(lab, "clear", server.port, secret)
    other.message.subject = "something else"
    check_equal(may.submit(other).field, "id", "the same id with another subject")
    wanted = base64.b64encode(b"\0user\0" + secret.encode())
    check_equal([line.split()[-1] for line in server.commands if line.startswith(b"AUTH")], [wanted] * 2, "logins")
    for publisher, password, words in ((may_not, secret, "name a profile"), (may_not, seal(secret, identity), "name a profile"),
                                       (may, "file:/etc/shadow", "name a profile"), (may, "x" * 5000, "longer than")):
        receipt = publisher.submit(inline(lab, "refused", server.port, password))
        check_equal((receipt.status, receipt.field), (pb.RECEIPT_STATUS_REJECTED, "settings.password"), f"{password[:9]}")
        check(words in receipt.reason, receipt.reason)
    broker.kill()
    found = [place for path in broker.folder.rglob("*") if path.is_file()
             for place in grep(path.read_bytes(), {"in a request": secret}, str(path))]
    check_equal(found + grep(broker.text().encode(), {"in a request": secret}, "the log"), [], "secrets found")


def test_without_a_certificate_no_password_is_taken(lab):
    ring = Ring(lab)
    ring.new("may", "producer", inline_settings=True, inline_password=True)
    broker = lab.broker({}, ring.config())
    publisher = lab.enter_context(contextlib.closing(tpn_wire.Publisher(
        lab.pb, broker.endpoints["submit"], curve=ring.curve("may"))))
    receipt = publisher.submit(inline(lab, "x", 25, "swordfish"))
    check_equal((receipt.status, receipt.field), (lab.pb.RECEIPT_STATUS_REJECTED, "settings.password"), "receipt")
    check("sealed.certificate" in receipt.reason, receipt.reason)


# ---- nowhere to be found ----

def forms(secret):
    """A secret as it may turn up: as it is, in UTF-16, hexadecimal, URL-encoded, in base64 at each of three places."""
    raw = secret if isinstance(secret, bytes) else secret.encode()
    yield raw
    if raw != secret:
        yield secret.encode("utf-16-le")
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    yield urllib.parse.quote(raw).encode()
    yield urllib.parse.quote(raw, safe="").encode()
    yield urllib.parse.quote_plus(raw).encode()
    for pad in range(3):
        text = base64.b64encode(b"\0" * pad + raw)
        yield text[(pad * 8 + 5) // 6:len(raw) * 8 // 6]


def grep(data, secrets, where):
    return [f"{where}: {name} as {form[:60]!r}" for name, secret in secrets.items() for form in forms(secret)
            if form in data]


def memory(pid):
    """What a process can write to and has written to, its environment's stack left out."""
    parts = []
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            words = line.split()
            if "w" in words[1] and not line.rstrip().endswith(("[stack]", "[vvar]", "[vsyscall]")):
                start, end = (int(word, 16) for word in words[0].split("-"))
                mem.seek(start)
                with contextlib.suppress(OSError):
                    parts.append(mem.read(end - start))
    return b"".join(parts)


SECRETS = {"file": "F1le-s3cret with spaces", "env": "Env/s3cret?&=x", "credential": "Cr3dential+s3cret%41",
           "sealed": "Se4led-s3cret;{}<>", "sealed by openssl": "Op3nssl-s3cret~#", "echoed": "Ech0ed-s3cret!!",
           "refused": "Ref4sed-s3cret@@", "in a request": "Inl1ne-s3cret##", "client secret": "Cl1ent s3cret+/&=%",
           "refresh token": "R3fresh/s3cret+token=", "rotated refresh token": "R0tated/s3cret+token=",
           # Both ends of one token: a piece of it is a leak too.
           "access token": "ya29.Acc3ss-s3cret_begins", "end of the access token": "Acc3ss-s3cret.ends~"}
ACCESS_TOKEN = SECRETS["access token"] + "-._~AbCd0123" * 40 + SECRETS["end of the access token"]


class Endpoint(token_peer.TokenServer):
    """Gives ACCESS_TOKEN and a new refresh token for each of the two; refuses the client "echoed" with all that it sent."""

    def grant(self, form):
        sent = {"client secret": form.get("client_secret"), "refresh token": form.get("refresh_token")}
        if form.get("client_id") == "echoed":
            raise PermissionError(f"invalid_client: {sent['refresh token']} and {urllib.parse.urlencode(form)}")
        good = (SECRETS["refresh token"], SECRETS["rotated refresh token"])
        if sent["client secret"] != SECRETS["client secret"] or sent["refresh token"] not in good:
            raise PermissionError("invalid_grant: not what was planted")
        return {"access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 3600,
                "refresh_token": SECRETS["rotated refresh token"]}


def token_profiles(lab, secrets):
    """OAuth 2: the login accepted, refused with the token repeated, and refused by the endpoint with its secrets repeated."""
    authority = postfix_peer.Authority(lab.folder("ca"))
    authority.make("server", "DNS:localhost,IP:127.0.0.1")
    endpoint = lab.enter_context(Endpoint(lab.folder("tokens"), lab.dir / "ca" / "server", "user"))
    (secrets / "client").write_text(SECRETS["client secret"] + "\n")
    (secrets / "client").chmod(0o600)
    profiles = {}
    for name, mode in (("token", "auth-token"), ("token-refused", "auth-token-echo"), ("token-echoed", "auth-token")):
        refresh = secrets / name
        profiles[name] = smtp_profile(
            lab.faultd(mode).port, authentication="oauth2", login_mechanisms="xoauth2", user_name="user",
            allow_cleartext_auth=True, oauth_token_endpoint=endpoint.url, oauth_ca_file=str(authority.certificate),
            oauth_client_id=name.removeprefix("token-"), oauth_client_secret=f"file:{secrets}/client",
            oauth_refresh_token=f"file:{refresh}")
    return endpoint, profiles


def new_refresh_tokens(secrets):
    for name in ("token", "token-refused", "token-echoed"):
        (secrets / name).write_text(SECRETS["refresh token"] + "\n")
        (secrets / name).chmod(0o600)


def signing_profile(secrets, server):
    """A profile that signs, and bytes from the middle of its key: the PEM has them as one line of base64."""
    key = secrets / "dkim"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    key.chmod(0o600)
    line = key.read_text(encoding="ascii").splitlines()[12]
    return smtp_profile(server.port, dkim_domain="lab.test", dkim_selector="s", dkim_key=f"file:{key}"), base64.b64decode(line)


def secret_profiles(lab, ok, echo, refuse, identity):
    secrets = lab.folder("secrets")
    for name in ("file", "refused", "echoed", "credential"):
        (secrets / name).write_text(SECRETS[name] + "\n")
        (secrets / name).chmod(0o600)
    kinds = {"file": (ok, f"file:{secrets}/file"), "env": (ok, "env:TPN_TEST_SECRET"),
             "credential": (ok, "credential:credential"), "sealed": (ok, seal(SECRETS["sealed"], identity)),
             "openssl": (ok, seal_by_openssl(SECRETS["sealed by openssl"], identity)),
             "refused": (refuse, f"file:{secrets}/refused"), "echoed": (echo, f"file:{secrets}/echoed")}
    return {name: smtp_profile(server.port, password=value, authentication="basic", user_name="user",
                               allow_cleartext_auth=True) for name, (server, value) in kinds.items()}


def one_run(lab, level, profiles, identity, box):
    """Every kind of secret through a broker and a worker of this level; returns what tpn said."""
    os.environ["TPN_LOG_LEVEL"] = level
    broker = lab.add(Broker(lab, {**profiles, "box": pickup_profile(box)}, RETRY_NEVER, f"broker-{level}")).start()
    worker = lab.add(Worker(lab, broker, f"worker-{level}", roots=[box],
                            config={**opens(identity), "state": str(lab.dir / f"state-{level}")}))
    worker.env |= {"TPN_TEST_SECRET": SECRETS["env"], "CREDENTIALS_DIRECTORY": str(lab.dir / "secrets")}
    worker_started(worker, level)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    for name in (*profiles, "box"):
        publisher.submit(lab.request(name, profile=name))
    for name in (*profiles, "box"):
        wanted = {"refused": "DEFERRED", "echoed": "DEFERRED", "token-refused": "DEFERRED", "token-echoed": "DEFERRED",
                  "box": "HANDED_OFF"}.get(name, "SENT")
        check_equal(state_name(lab.pb, follower.wait_state(name, *SETTLED).state), wanted, f"{level}: {name}")
    inline = lab.request("inline", profile="")
    inline.settings.smtp_server, inline.settings.user_name = "127.0.0.1", "user"
    inline.settings.authentication, inline.settings.password = lab.pb.AUTHENTICATION_BASIC, SECRETS["in a request"]
    receipt = publisher.submit(inline)
    check_equal(receipt.field, "settings.password", f"receipt {receipt}")
    said = b"".join(event.SerializeToString() for _, event in follower.events) + receipt.SerializeToString()
    for words in (("queue", "ls"), ("queue", "ls", "--json"), ("explain", "refused"), ("explain", "echoed", "--json"),
                  ("explain", "token-refused"), ("explain", "token-echoed", "--json"), ("profile", "show", "token"),
                  ("profile", "show", "signed", "--json"), ("status",),
                  ("profile", "ls", "--json"), ("profile", "show", "sealed"), ("profile", "show", "file", "--json"),
                  ("status", "refused", "echoed")):
        result = lab.tpn(broker, *words)
        said += (result.stdout + result.stderr).encode()
    return broker, worker, said


def worker_started(worker, level):
    """At level error a worker says nothing at its start: the broker's log tells, or the first result does."""
    if level in ("info", "debug"):
        worker.start()
    else:
        super(Worker, worker).start()


def test_secrets_are_nowhere_to_be_found(lab):
    identity = Identity(lab, "worker")
    servers = [lab.faultd(mode) for mode in ("auth-ok", "auth-echo", "auth-535")]
    profiles = secret_profiles(lab, *servers, identity)
    endpoint, more = token_profiles(lab, lab.dir / "secrets")
    plain = lab.faultd()
    signed, key = signing_profile(lab.dir / "secrets", plain)
    profiles |= {**more, "signed": signed}
    secrets = {**SECRETS, "DKIM key": key}
    box = lab.folder("box")
    found = []
    for level in LEVELS:
        new_refresh_tokens(lab.dir / "secrets")
        broker, worker, said = one_run(lab, level, profiles, identity, box)
        found += grep(said, secrets, f"{level}: what was published and answered")
        if os.getuid() == 0:
            found += grep(memory(broker.pid), {k: v for k, v in secrets.items() if k != "in a request"},
                          f"{level}: the broker's memory")
        worker.child.send_signal(signal.SIGABRT)  # would leave a core
        wait_until(lambda w=worker: not w.alive(), "the worker to end")
        broker.kill()  # leaves its log of the store as it is
    os.environ["TPN_LOG_LEVEL"] = "info"
    planted = {lab.dir / "secrets"}
    looked = 0
    check_equal((lab.dir / "secrets" / "token").read_text().strip(), SECRETS["rotated refresh token"], "stored refresh token")
    check_equal(sum(b"DKIM-Signature:" in content for content, _ in plain.contents), len(LEVELS), "signed mails")
    check(len(endpoint.requests) >= 3 * len(LEVELS), f"the endpoint was asked {len(endpoint.requests)} times")
    for path in lab.dir.rglob("*"):
        if path.is_file() and path.parent not in planted and path.suffix != ".key":
            found += grep(path.read_bytes(), secrets, str(path))
            looked += 1
    check(looked > 4 * 6, f"only {looked} files were there to look at")
    check(any(path.name.endswith("-wal") for path in lab.dir.rglob("*")), "the store's log was not there to look at")
    check_equal([str(p) for p in pathlib.Path(lab.dir).rglob("*core*")], [], "core files")
    check_equal(found, [], "secrets found")


run(globals())
