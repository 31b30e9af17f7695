"""An OAuth 2 token endpoint on loopback, over HTTPS: access tokens are RS256 JWTs that Dovecot checks offline.

Grants: refresh_token, client_credentials, jwt-bearer (a service account, its signature is checked), and a device login.
What it gives and how it fails is set by attributes, at any time:

    ttl_s        life of access tokens; tells_ttl says whether expires_in is told
    rotate       each refresh gives a new refresh token and ends the old one
    fault        (status, body, headers): every request is answered with that; None = none
    delay_s      before each answer; go_on holds them all back while it is cleared (.asked counts on)
    approved     the device login is approved by a person

.requests are the forms that came, .tokens the access tokens that were given, .refresh the refresh token that is good now.
"""
import base64
import http.server
import json
import pathlib
import ssl
import subprocess
import threading
import time
import urllib.parse

CLIENT_ID, CLIENT_SECRET = "trackpro", "client s3cret+/&="
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SHUTDOWN_POLL_S = 0.02  # how often it looks whether it is to end; half a second, if not said


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def openssl(*words, data=None):
    return subprocess.run(["openssl", *map(str, words)], input=data, capture_output=True, check=True).stdout


_made = {}


def make_key(folder, name):
    """NAME.key (PKCS#8) and NAME.pub; made once a test program, for it takes long."""
    if name not in _made:
        key = openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        _made[name] = key, openssl("pkey", "-pubout", data=key)
    for ending, data in zip(("key", "pub"), _made[name]):
        (folder / f"{name}.{ending}").write_bytes(data)
    return folder / f"{name}.key"


def sign_jwt(key, claims):
    head = b64(b'{"alg":"RS256","typ":"JWT"}') + "." + b64(json.dumps(claims).encode())
    return head + "." + b64(openssl("dgst", "-sha256", "-sign", key, data=head.encode()))


class TokenServer:
    """`with TokenServer(folder, "CERT", mailbox) as server`: CERT.pem and CERT.key; keys of its own below folder.
    .public_key is for who checks the tokens, .account_key signs assertions of the account .account."""

    def __init__(self, folder, certificate, mailbox):
        self.folder, self.mailbox = pathlib.Path(folder), mailbox
        self.key = make_key(self.folder, "issuer")
        self.public_key = self.folder / "issuer.pub"
        self.account, self.account_key = "robot@accounts.test", make_key(self.folder, "account")
        self.ttl_s, self.tells_ttl, self.rotate, self.fault, self.delay_s = 3600, True, False, None, 0
        self.approved, self.extra = False, {}
        self.refresh, self.requests, self.tokens = "refresh-1", [], []
        self.lock, self.go_on, self.asked = threading.Lock(), threading.Event(), 0
        self.go_on.set()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args):
                """Quiet."""

            def do_POST(self):
                length = int(self.headers["Content-Length"])
                form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode(), keep_blank_values=True))
                status, body, headers = server.answer(self.path, form)
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{certificate}.pem", f"{certificate}.key")
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.serve_forever, args=(SHUTDOWN_POLL_S,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    @property
    def url(self):
        return f"https://localhost:{self.port}/token"

    @property
    def device_url(self):
        return f"https://localhost:{self.port}/device"

    def access_token(self, subject, ttl_s=None):
        now = int(time.time())
        token = sign_jwt(self.key, {"sub": subject, "email": subject, "iat": now, "nbf": now - 5,
                                    "exp": now + (ttl_s or self.ttl_s), "jti": len(self.tokens)})
        self.tokens.append(token)
        return token

    def answer(self, path, form):
        self.asked += 1
        self.go_on.wait(60)
        time.sleep(self.delay_s)
        with self.lock:
            self.requests.append(form)
            if self.fault is not None:
                return self.fault
            try:
                if path == "/device":
                    return 200, {"device_code": "device-1", "user_code": "WDJB-MJHT", "expires_in": 60, "interval": 1,
                                 "verification_uri": "https://example.test/device"}, {}
                return 200, self.grant(form), {}
            except PermissionError as refusal:
                error, _, words = str(refusal).partition(": ")
                return (401 if error == "invalid_client" else 400), {"error": error, "error_description": words}, {}

    def grant(self, form):
        reply = {"token_type": "Bearer", "scope": form.get("scope", ""), **self.extra}
        if self.tells_ttl:
            reply["expires_in"] = self.ttl_s
        kind = form.get("grant_type")
        subject = self.mailbox
        if kind == "refresh_token":
            self.check_client(form)
            if form.get("refresh_token") != self.refresh:
                raise PermissionError("invalid_grant: AADSTS70008: The refresh token has expired or was revoked.")
            if self.rotate:
                self.refresh = reply["refresh_token"] = f"refresh-{len(self.tokens) + 2}"
        elif kind == "client_credentials":
            self.check_client(form)
        elif kind == JWT_GRANT:
            subject = self.check_assertion(form.get("assertion", ""))
        elif kind == DEVICE_GRANT:
            if not self.approved:
                raise PermissionError("authorization_pending: nobody has typed the code yet")
            reply["refresh_token"] = self.refresh
        else:
            raise PermissionError("unsupported_grant_type: no such grant")
        return {"access_token": self.access_token(subject), **reply}

    @staticmethod
    def check_client(form):
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            raise PermissionError("invalid_client: AADSTS7000215: Invalid client secret provided.")

    def check_assertion(self, assertion):
        try:
            head, body, signature = assertion.split(".")
            file = self.folder / "assertion.sig"
            file.write_bytes(unb64(signature))
            openssl("dgst", "-sha256", "-verify", self.folder / "account.pub", "-signature", file,
                    data=f"{head}.{body}".encode())
            claims = json.loads(unb64(body))
        except (ValueError, subprocess.CalledProcessError):
            raise PermissionError("invalid_grant: Invalid JWT Signature.") from None
        now = time.time()
        if json.loads(unb64(head)) != {"alg": "RS256", "typ": "JWT"} or claims["iss"] != self.account or \
                claims["aud"] != self.url or not claims["iat"] - 60 <= now <= claims["exp"] <= claims["iat"] + 3600:
            raise PermissionError("invalid_grant: Invalid JWT: claims")
        return claims["sub"]
