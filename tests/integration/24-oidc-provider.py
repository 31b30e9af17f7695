"""OAuth 2 against a token endpoint that is not ours: npm's oidc-provider. Its tokens open a real Dovecot."""
import pathlib
import re
import shutil

from tpn_harness import BUILD_DIR, SOURCE_DIR, Process, check, check_equal, run, wait_until
from tpn_wire import class_name, outcome_name, phase_name, state_name

import dovecot_peer
import npm_peer
import postfix_peer

CLIENT, SECRET = "trackpro", "a secret of some length +/&="
LIMITS = {"connect_timeout": "20s", "reply_timeout": "20s", "content_timeout": "20s"}
SETTLED = ("SENT", "DEFERRED", "FAILED", "UNKNOWN")


class Provider(Process):
    """oidc-provider; .port, and .public_key once it listens."""

    def __init__(self, lab, certificate):
        modules = npm_peer.install(BUILD_DIR, "oidc-provider")
        self.public_key = lab.dir / "provider.pub"
        super().__init__(lab, "provider", [
            shutil.which("node"), pathlib.Path(SOURCE_DIR) / "tests/peers/oidc_peer.mjs", modules, certificate,
            self.public_key, CLIENT, SECRET, dovecot_peer.USER])

    @property
    def port(self):
        found = re.search(r"^port (\d+)$", self.text(), re.MULTILINE)
        return int(found.group(1)) if found else None

    def start(self):
        super().start()
        wait_until(lambda: self.port or not self.alive(), "oidc-provider to listen", 30)
        check(self.alive(), f"oidc-provider does not start: {self.text()}")
        return self


def test_tokens_of_another_maker_are_taken(lab):
    authority = postfix_peer.Authority(lab.folder("ca"))
    certificate = lab.folder("ca") / "server"
    authority.make("server", "DNS:localhost,IP:127.0.0.1")
    provider = lab.add(Provider(lab, certificate)).start()
    sink = lab.smtp_sink()
    dovecot = lab.add(dovecot_peer.Dovecot(lab, certificate, provider.public_key, sink.port)).start()
    secrets = {"right": SECRET, "wrong": "of another client"}
    for name, text in secrets.items():
        (lab.dir / name).write_text(text + "\n", encoding="utf-8")
        (lab.dir / name).chmod(0o600)
    base = {**LIMITS, "smtp_server": "localhost", "smtp_port": dovecot.ports["starttls"], "use_tls": True,
            "ca_file": str(authority.certificate), "authentication": "oauth2", "user_name": dovecot_peer.USER,
            "oauth_grant": "client_credentials", "oauth_token_endpoint": f"https://localhost:{provider.port}/token",
            "oauth_ca_file": str(authority.certificate), "oauth_client_id": CLIENT, "oauth_scope": "smtp",
            "oauth_client_secret": f"file:{lab.dir / 'right'}"}
    broker = lab.broker({"good": {**base, "login_mechanisms": "oauthbearer"}, "xoauth2": {**base, "login_mechanisms": "xoauth2"},
                         "wrong-secret": {**base, "oauth_client_secret": f"file:{lab.dir / 'wrong'}"},
                         "wrong-client": {**base, "oauth_client_id": "nobody"}}, {"retry": {"delays": ["1h"]}})
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    for name, told, word in (("good", ("SENT", "DELIVERED", "FINAL_DOT", "NONE"), ""),
                             ("xoauth2", ("SENT", "DELIVERED", "FINAL_DOT", "NONE"), ""),
                             ("wrong-secret", ("DEFERRED", "DEFERRED", "AUTH", "LOGIN"), "invalid_client"),
                             ("wrong-client", ("DEFERRED", "DEFERRED", "AUTH", "LOGIN"), "invalid_client")):
        publisher.submit(lab.request(name, profile=name))
        event = follower.wait_state(name, *SETTLED, timeout_s=40)
        (r,) = event.recipients
        got = (state_name(lab.pb, event.state), outcome_name(lab.pb, r.outcome), phase_name(lab.pb, r.phase),
               class_name(lab.pb, r.failure_class))
        check_equal(got, told, f"{name} ({r.text!r})")
        check(word in r.text, f"{name}: {word!r} is missing in {r.text!r}")


run(globals())
