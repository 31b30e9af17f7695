"""tpn profile login: a person confirms the login of a profile elsewhere, and the worker has its refresh token."""
import os
import stat
import time

from tpn_harness import Process, check, check_equal, find_program, run, wait_until

import postfix_peer
import token_peer


class House:
    """A token endpoint and a broker with profiles that want a token of it."""

    def __init__(self, lab):
        authority = postfix_peer.Authority(lab.folder("ca"))
        authority.make("server", "DNS:localhost,IP:127.0.0.1")
        self.lab = lab
        self.tokens = lab.enter_context(
            token_peer.TokenServer(lab.folder("tokens"), lab.folder("ca") / "server", "box@example.test"))
        self.file = lab.folder("tokens") / "refresh"
        base = {"smtp_server": "localhost", "smtp_port": 9, "use_tls": True, "authentication": "oauth2",
                "user_name": "box@example.test", "oauth_token_endpoint": self.tokens.url, "oauth_client_id": "app",
                "oauth_scope": "smtp offline_access", "oauth_ca_file": str(authority.certificate)}
        self.broker = lab.broker({
            "lab": {**base, "oauth_refresh_token": f"file:{self.file}"},
            "elsewhere": {**base, "oauth_refresh_token": "env:TOKEN"},
            "relay": {"smtp_server": "localhost"}})

    def start(self, *words):
        argv = [find_program("tpn"), "profile", "login", *words, "--device-endpoint", self.tokens.device_url]
        return self.lab.add(Process(self.lab, "login", argv, {"TPN_ADMIN": self.broker.endpoints["admin"]})).start()

    def ended(self, login):
        wait_until(lambda: not login.alive(), "the command to end", 30)
        return login.child.returncode


def asked(house):
    return sum(1 for form in house.tokens.requests if form.get("grant_type") == token_peer.DEVICE_GRANT)


def test_confirmed_login_is_stored(lab):
    house = House(lab)
    login = house.start("lab")
    wait_until(lambda: asked(house) >= 1, "the first question for the token", 30)
    check(login.alive(), "it did not wait for the person")
    check("https://example.test/device" in login.text() and "WDJB-MJHT" in login.text(), login.text())
    check_equal(house.tokens.requests[0], {"client_id": "app", "scope": "smtp offline_access"}, "first form")
    house.tokens.approved = True
    check_equal(house.ended(login), 0, f"exit status: {login.text()}")
    check_equal(house.file.read_text(encoding="ascii"), "refresh-1", "what was stored")
    check_equal(stat.S_IMODE(house.file.stat().st_mode), 0o600, "mode of the file")
    check("refresh-1" not in login.text(), "the token was shown")


def test_new_login_leaves_the_owner_of_the_file(lab):
    """Run by root, read by the worker's user."""
    house = House(lab)
    house.tokens.approved = True
    house.file.write_text("old", encoding="ascii")
    if os.geteuid() == 0:
        os.chown(house.file, 65534, 65534)
    owner = house.file.stat().st_uid
    login = house.start("lab", "--json")
    check_equal(house.ended(login), 0, f"exit status: {login.text()}")
    check_equal((house.file.read_text(encoding="ascii"), house.file.stat().st_uid), ("refresh-1", owner), "file and owner")
    check(f'"stored":"{house.file}"' in login.text(), login.text())


def test_refused_login_leaves_the_old_token(lab):
    house = House(lab)
    house.file.write_text("old", encoding="ascii")
    login = house.start("lab")
    wait_until(lambda: asked(house) >= 1, "the first question for the token", 30)
    house.tokens.fault = (400, {"error": "access_denied", "error_description": "the person said no"}, {})
    check_equal(house.ended(login), 1, "exit status")
    check("access_denied the person said no" in login.text(), login.text())
    check_equal(house.file.read_text(encoding="ascii"), "old", "the file")


def test_busy_endpoint_is_asked_more_slowly(lab):
    house = House(lab)
    house.tokens.fault = None
    login = house.start("lab")
    wait_until(lambda: asked(house) >= 1, "the first question for the token", 30)
    house.tokens.fault = (400, {"error": "slow_down"}, {})
    before = asked(house)
    wait_until(lambda: asked(house) > before, "a question that is told to slow down", 30)
    told_at = time.monotonic()
    house.tokens.fault, house.tokens.approved = None, True
    check_equal(house.ended(login), 0, f"exit status: {login.text()}")
    check(time.monotonic() - told_at > 4, "the next question came as fast as before")


def test_profiles_that_cannot_log_in_are_named(lab):
    house = House(lab)
    for name, code, words in (("relay", 2, "authentication oauth2"), ("elsewhere", 2, "oauth_refresh_token must be file:"),
                              ("nobody", 3, "no profile nobody")):
        result = lab.tpn(house.broker, "profile", "login", name, "--device-endpoint", house.tokens.device_url)
        check_equal((result.returncode, words in result.stderr), (code, True), f"{name}: {result.stderr}")
    result = lab.tpn(house.broker, "profile", "login", "lab")
    check_equal((result.returncode, "--device-endpoint" in result.stderr), (2, True), result.stderr)
    check_equal(len(house.tokens.requests), 0, "requests")


run(globals())
