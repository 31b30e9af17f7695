"""OAuth 2 tokens: fetched once, renewed in time, stored safely, and every failure told with its words.

The tokens come from an endpoint of ours and go to a real Dovecot that checks them offline; tests of endpoints that fail have
no mail server at all, for none must be asked."""
import os
import stat
import time

from tpn_harness import check, check_equal, pickup_profile, run, wait_until
from tpn_wire import class_name, outcome_name, phase_name, state_name

import dovecot_peer
import postfix_peer
import token_peer

LIMITS = {"connect_timeout": "20s", "reply_timeout": "20s", "content_timeout": "20s"}
RETRY_NEVER = {"retry": {"delays": ["1h"]}}
SETTLED = ("SENT", "DEFERRED", "FAILED", "UNKNOWN")


class House:
    """A lab with a token endpoint, and with Dovecot in front of a sink when a test sends mail."""

    def __init__(self, lab, with_dovecot=True):
        self.lab = lab
        authority = postfix_peer.Authority(lab.folder("ca"))
        authority.make("server", "DNS:localhost,IP:127.0.0.1")
        self.ca = str(authority.certificate)
        certificate = lab.folder("ca") / "server"
        self.tokens = lab.enter_context(
            token_peer.TokenServer(lab.folder("tokens"), certificate, dovecot_peer.USER))
        self.refresh_file = self.secret("refresh", "refresh-1")
        port = 9  # discard: nobody is there
        if with_dovecot:
            self.sink = lab.smtp_sink()
            dovecot = dovecot_peer.Dovecot(lab, certificate, self.tokens.public_key, self.sink.port)
            port = lab.add(dovecot).start().ports["starttls"]
        self.base = {**LIMITS, "smtp_server": "localhost", "smtp_port": port, "use_tls": True, "ca_file": self.ca,
                     "authentication": "oauth2", "user_name": dovecot_peer.USER,
                     "oauth_token_endpoint": self.tokens.url, "oauth_ca_file": self.ca}

    def secret(self, name, text):
        file = self.lab.dir / name
        file.write_text(text + "\n", encoding="utf-8")
        file.chmod(0o600)
        return file

    @property
    def client(self):
        return {"oauth_client_id": token_peer.CLIENT_ID,
                "oauth_client_secret": f"file:{self.secret('client', token_peer.CLIENT_SECRET)}"}

    def refresh_profile(self, **more):
        return {**self.base, **self.client, "oauth_refresh_token": f"file:{self.refresh_file}", **more}

    def start(self, profiles, **more):
        self.broker = self.lab.broker(profiles, RETRY_NEVER)
        self.worker = self.lab.worker(self.broker, **more)
        self.follower = self.lab.follower(self.broker)
        self.publisher = self.lab.publisher(self.broker)
        return self

    def send(self, name, profile="lab"):
        self.publisher.submit(self.lab.request(name, profile=profile))

    def settled(self, name):
        """(state, outcome, phase, code, class) and the text of its one recipient."""
        event = self.follower.wait_state(name, *SETTLED, timeout_s=40)
        (r,) = event.recipients
        pb = self.lab.pb
        return (state_name(pb, event.state), outcome_name(pb, r.outcome), phase_name(pb, r.phase), r.smtp_code,
                class_name(pb, r.failure_class)), r.text

    def sent(self, name, profile="lab"):
        self.send(name, profile)
        told, text = self.settled(name)
        check_equal(told[:4], ("SENT", "DELIVERED", "FINAL_DOT", 250), f"told of {name} ({text!r})")


def test_each_grant_gives_a_token(lab):
    house = House(lab)
    tokens = house.tokens
    key = tokens.account_key.read_text(encoding="ascii")
    key_file = house.secret("key.json", f'{{"type": "service_account", "client_email": "{tokens.account}", '
                                        f'"private_key": "{key}"}}'.replace("\n", "\\n"))
    account = {"oauth_grant": "service_account", "oauth_scope": "https://mail.example.test/"}
    house.start({
        "refresh": house.refresh_profile(),
        "client": {**house.base, **house.client, "oauth_grant": "client_credentials", "oauth_scope": "smtp .default"},
        "pem": {**house.base, **account, "oauth_client_id": tokens.account,
                "oauth_key": f"file:{house.secret('key.pem', key)}"},
        "json": {**house.base, **account, "oauth_key": f"file:{key_file}"},
    })
    for profile in ("refresh", "client", "pem", "json"):
        house.sent(f"by-{profile}", profile)
    check_equal([form["grant_type"] for form in tokens.requests],
                ["refresh_token", "client_credentials", token_peer.JWT_GRANT, token_peer.JWT_GRANT], "grants")
    check_equal(tokens.requests[1]["scope"], "smtp .default", "scope")
    for secret in (token_peer.CLIENT_SECRET, "refresh-1", *tokens.tokens):
        check(secret not in house.worker.text() and secret not in house.broker.text(), "a secret stands in a log")


def test_many_connections_ask_once(lab):
    house = House(lab)
    house.tokens.delay_s = 1
    house.start({"lab": house.refresh_profile(max_connections=10, max_messages_per_connection=1)})
    for i in range(20):
        house.send(f"many-{i}")
    for i in range(20):
        check_equal(house.settled(f"many-{i}")[0][0], "SENT", f"state of many-{i}")
    check_equal(len(house.tokens.requests), 1, "requests for a token")


def test_waiting_for_a_token_holds_up_nobody_else(lab):
    house = House(lab, with_dovecot=False)
    folder = lab.folder("pickup")
    house.tokens.go_on.clear()
    house.start({"lab": house.refresh_profile(), "folder": pickup_profile(folder)}, roots=[folder])
    house.send("slow")
    wait_until(lambda: house.tokens.asked > 0, "the request for a token")
    house.send("quick", "folder")
    house.follower.wait_state("quick", "HANDED_OFF")
    check(not house.tokens.requests, "the token was there before the quick one had gone")
    house.tokens.go_on.set()


def test_token_is_renewed_at_80_percent_of_its_life(lab):
    """Without any mail: the refresher works by itself, and stores the refresh token that the server gives in exchange."""
    house = House(lab)
    house.tokens.ttl_s, house.tokens.rotate = 8, True
    house.start({"lab": house.refresh_profile()})
    house.sent("first")
    begun = time.monotonic()
    check_equal(house.refresh_file.read_text(encoding="ascii").strip(), "refresh-2", "stored refresh token")
    wait_until(lambda: len(house.tokens.requests) == 2, "the renewal", 15)
    check(time.monotonic() - begun < 8, "the renewal came after the end of the token")
    check_equal(house.tokens.requests[1]["refresh_token"], "refresh-2", "refresh token of the renewal")
    wait_until(lambda: house.refresh_file.read_text(encoding="ascii").strip() == "refresh-3", "the third token")
    check_equal(stat.S_IMODE(house.refresh_file.stat().st_mode), 0o600, "mode of the file")
    house.sent("second")


def test_rotated_token_that_cannot_be_stored_is_kept_in_memory(lab):
    house = House(lab)
    house.tokens.ttl_s, house.tokens.rotate = 3, True
    os.environ["TPN_TEST_REFRESH"] = "refresh-1"
    try:
        house.start({"lab": house.refresh_profile(oauth_refresh_token="env:TPN_TEST_REFRESH")})
    finally:
        del os.environ["TPN_TEST_REFRESH"]
    house.sent("first")
    check("oauth_refresh_token_not_stored" in house.worker.text(), "the log does not say that it is lost at a restart")
    wait_until(lambda: len(house.tokens.requests) >= 2, "the renewal", 10)
    check_equal(house.tokens.requests[1]["refresh_token"], "refresh-2", "refresh token of the renewal")


def test_two_workers_refresh_one_after_the_other(lab):
    """A server that rotates takes each refresh token once: the second worker must read what the first one stored."""
    house = House(lab)
    house.tokens.rotate, house.tokens.delay_s = True, 1
    house.start({"lab": house.refresh_profile(max_connections=1)}, jobs=1)
    lab.worker(house.broker, name="w2", jobs=1)
    for i in range(6):
        house.send(f"two-{i}")
    for i in range(6):
        told, text = house.settled(f"two-{i}")
        check_equal(told[0], "SENT", f"state of two-{i} ({text!r})")
    used = [form["refresh_token"] for form in house.tokens.requests]
    check_equal(used, [f"refresh-{i + 1}" for i in range(len(used))], "refresh tokens in the order of their use")


def test_refused_token_is_replaced_once(lab):
    """The endpoint says an hour, the mail server knows better: a new token, on a new connection, and no second login failure."""
    house = House(lab)
    house.tokens.ttl_s, house.tokens.extra, house.tokens.tells_ttl = 5, {"expires_in": 3600}, False
    house.start({"lab": house.refresh_profile(max_messages_per_connection=1)})
    house.sent("first")
    ends = time.time() + 5
    wait_until(lambda: time.time() > ends + 1, "the end of the first token", 10)
    house.tokens.ttl_s = 600
    house.sent("second")
    check_equal(len(house.tokens.requests), 2, "requests for a token")


def test_token_that_is_never_taken_stops_the_profile(lab):
    house = House(lab)
    house.tokens.ttl_s, house.tokens.extra, house.tokens.tells_ttl = -60, {"expires_in": 3600}, False
    house.start({"lab": house.refresh_profile()})
    house.send("never")
    told, text = house.settled("never")
    check_equal(told, ("DEFERRED", "DEFERRED", "AUTH", 535, "LOGIN"), f"told ({text!r})")
    check("of the token:" in text, f"words of the server: {text!r}")
    check_equal(len(house.tokens.requests), 1, "requests for a token")


FAULTS = {
    # what the endpoint answers, class, words
    "revoked": ((400, {"error": "invalid_grant", "error_description": "AADSTS70008: expired\r\nTrace ID: 1"}, {}),
                "LOGIN", ("invalid_grant", "AADSTS70008: expired  Trace ID: 1")),
    "client-secret": ((401, {"error": "invalid_client", "error_description": "AADSTS7000222: ran out"}, {}), "LOGIN",
                      ("invalid_client", "AADSTS7000222")),
    "scope": ((400, {"error": "invalid_scope"}, {}), "CONFIGURATION", ("invalid_scope",)),
    "down": ((503, b"<html>busy</html>", {"Content-Type": "text/html"}), "TRANSIENT", ("HTTP 503",)),
    "throttled": ((429, {"error": "slow_down"}, {"Retry-After": "120"}), "TRANSIENT", ("slow_down",)),
    "redirect": ((302, b"", {"Location": "https://localhost:1/"}), "CONFIGURATION", ("HTTP 302",)),
    "no-json": ((200, b"token=1", {}), "CONFIGURATION", ("no JSON",)),
    "no-token": ((200, {"hello": 1}, {}), "CONFIGURATION", ("neither a token",)),
    "twice": ((200, b'{"access_token":"a","access_token":"b"}', {}), "CONFIGURATION", ("no JSON object",)),
    "line-break": ((200, {"access_token": "a\r\nRCPT TO:<x@y>"}, {}), "CONFIGURATION", ("access_token",)),
    "too-long": ((200, b" " * 70000, {}), "CONFIGURATION", ("token endpoint",)),
}


def make_fault_test(answer, failure_class, words):
    def test(lab):
        house = House(lab, with_dovecot=False)
        house.tokens.fault = answer
        house.start({"lab": house.refresh_profile()})
        house.send("one")
        told, text = house.settled("one")
        check_equal(told, ("DEFERRED", "DEFERRED", "AUTH", 0, failure_class), f"told ({text!r})")
        for word in words:
            check(word in text, f"{word!r} is missing in {text!r}")
        check("\n" not in text and "\r" not in text, f"a line break in {text!r}")
        if failure_class == "LOGIN":  # held with its words, as a refused login of the mail server is
            wait_until(lambda: "profile lab is held" in lab.tpn(house.broker, "status").stdout, "the held profile")
            check(words[0] in lab.tpn(house.broker, "status").stdout, "tpn status does not give the endpoint's words")
        if answer[0] == 429:
            house.send("two")
            told, text = house.settled("two")
            check_equal(told[4], "TRANSIENT", f"class of the second ({text!r})")
            check("left alone" in text, f"the second: {text!r}")
            check_equal(len(house.tokens.requests), 1, "requests while the endpoint wants to be left alone")
    return test


for _name, _row in FAULTS.items():
    globals()[f"test_endpoint-{_name}"] = make_fault_test(*_row)


def test_endpoint_that_cannot_be_trusted_or_reached(lab):
    house = House(lab, with_dovecot=False)
    other = postfix_peer.Authority(lab.folder("other"), "nobody's")
    house.start({"untrusted": house.refresh_profile(oauth_ca_file=str(other.certificate)),
                 "nobody": house.refresh_profile(oauth_token_endpoint="https://localhost:9/token"),
                 "no-secret": house.refresh_profile(oauth_refresh_token=f"file:{lab.dir / 'nowhere'}")})
    for name, failure_class, word in (("untrusted", "CONFIGURATION", "certificate"), ("nobody", "TRANSIENT", "port 9"),
                                      ("no-secret", "CONFIGURATION", "oauth_refresh_token: cannot open")):
        house.send(name, name)
        told, text = house.settled(name)
        check_equal(told, ("DEFERRED", "DEFERRED", "AUTH", 0, failure_class), f"{name} ({text!r})")
        check(word in text, f"{name}: {word!r} is missing in {text!r}")
    check_equal(len(house.tokens.requests), 0, "requests that came through")


def test_end_of_a_refresh_token_is_warned_of(lab):
    house = House(lab)
    house.tokens.extra = {"refresh_token_expires_in": 3 * 86400}
    house.start({"lab": house.refresh_profile()})
    house.sent("one")
    check("oauth_refresh_token_ends" in house.worker.text() and "in_s=259200" in house.worker.text(),
          "no warning in the worker's log")


run(globals())
