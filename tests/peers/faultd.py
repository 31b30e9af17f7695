"""An SMTP server that misbehaves on purpose, byte by byte. Pipelining is offered.

A mode names one fault; everything else is done well. The answer to RCPT also follows the local part: no… 550 (two
lines), grey… 450, full… 452, quota… 552, fwd… 251, drop… 421 and close; lost… is accepted, and the connection
dropped after the dot. What the server saw is kept: .contents has
the raw bytes of every mail up to its dot, whatever was answered; .commands every command line; .accepted only
the mails that were answered with 2xx, .connections how often somebody came.

Modes that begin with starttls-, cert- or tls offer STARTTLS and need `certificates`: a folder with NAME.pem and NAME.key for
each cert-NAME, and srv for the others. tls-records: each byte of an answer is a TLS record, and all answers to what came together
leave in one segment; tls-cut: every byte of a record is a segment.

In a test: `with FaultServer("rst-after-dot") as server`, and server.set_mode(…) later. By hand: faultd.py MODE
"""
import base64
import json
import select
import socket
import ssl
import struct
import sys
import threading
import time

RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close sends RST. Source: socket(7)

GREETING_ANSWER = {"greet-421": b"421 4.3.2 too busy\r\n", "greet-554": b"554 5.3.2 no service here\r\n"}
RCPT_ANSWER = {
    "no": b"550-5.1.1 The email account that you tried to reach\r\n550 5.1.1 does not exist\r\n",
    "grey": b"450 4.2.0 greylisted, come back later\r\n",
    "full": b"452 4.2.2 mailbox full\r\n",
    "quota": b"552 5.2.2 over quota\r\n",
    "fwd": b"251 2.1.5 will forward\r\n",
}
# To a fourth recipient. A client that knows LIMITS (RFC 9422) never hears the second.
TOO_MANY = {"rcpt-limit-3": b"452 4.5.3 too many recipients\r\n", "rcptmax-3": b"554 5.7.1 three, it said\r\n"}
DOT_ANSWER = {
    "451-after-dot": b"451 4.3.0 queue full\r\n",
    "552-after-dot": b"552 5.3.4 too big after all\r\n",
    "554-after-dot": b"554-5.7.1 refused as spam\r\n554 5.7.1 see the manual\r\n",
    "251-after-dot": b"251 2.0.0 odd success\r\n",
    "multi-after-dot": b"250-2.0.0 first line\r\n250 2.0.0 Ok: queued as 4FZq1\r\n",
    "garbage-after-dot": b"\x00\xff what is this\r\n",
    "421-after-dot": b"421 4.3.2 going down\r\n",
    "354-after-dot": b"354 once more\r\n",
    "twice-after-dot": b"250 2.0.0 Ok: queued as 4FZq1\r\n250 2.0.0 Ok: queued as 4FZq2\r\n",
}
# Instead of the reply to MAIL. An answer that is sent for ever is in ENDLESS.
MAIL_ANSWER = {
    "mail-530": b"530 5.7.0 Authentication required\r\n",
    "mail-452": b"452 4.3.1 insufficient system storage\r\n",
    "mail-421": b"421 4.3.2 going down\r\n",
    "mail-354": b"354 go on\r\n",
    "mail-099": b"099 what is this\r\n",
    "mail-twice": b"250 2.1.0 ok\r\n250 2.1.0 ok\r\n",
    "mail-two-codes": b"250-2.1.0 ok\r\n550 5.7.1 or not\r\n",
    "mail-garbage": b"\x00\xff what is this\r\n",
    "mail-huge": b"250 " + b"x" * 1000000 + b"\r\n",
    "mail-escape": b"550 5.7.1 \x1b[31mred\x1b[0m \x00\xff\xc3\xa4 \xe2\x80\xae end\r\n",
    "mail-bare-lf": b"250 2.1.0 ok\n",
    "mail-bare-cr": b"250 2.1.0 ok\r",
}
ENDLESS = {  # what is said, in pieces, until the client goes
    "greet-endless": b"220-" + b"x" * 500 + b"\r\n",
    "greet-huge": b"x" * 4096,  # one line without an end
    "ehlo-endless": b"250-" + b"x" * 60 + b"\r\n",
    "auth-endless": b"250-" + b"x" * 500 + b"\r\n",
    "mail-endless": b"250-" + b"x" * 500 + b"\r\n",
    "dot-endless": b"250-" + b"x" * 500 + b"\r\n",
}
DRIPS = {"auth-drip": b"235-ok\r\n235",
         "ehlo-drip": b"250-fault.test\r\n250-", "mail-drip": b"250-ok\r\n250", "dot-drip": b"250-ok\r\n250"}
AUTH_ANSWER = {  # to AUTH, whatever the mechanism
    "auth-535": b"535 5.7.8 Authentication credentials invalid\r\n",
    "auth-534": b"534 5.7.9 Application-specific password required\r\n",
    "auth-530": b"530 5.7.0 Must issue STARTTLS first\r\n",
    "auth-432": b"432 4.7.12 A password transition is needed\r\n",
    "auth-454": b"454 4.7.0 Temporary authentication failure\r\n",
    "auth-421": b"421 4.3.2 going down\r\n",
    "auth-250": b"250 2.0.0 ok, but not 235\r\n",
    "auth-garbage": b"\x00\xff what is this\r\n",
}
AUTH_OFFER = {"auth-none": None, "auth-eq": b"AUTH=PLAIN LOGIN", "auth-gssapi": b"AUTH GSSAPI",
              "auth-token": b"AUTH XOAUTH2", "auth-token-echo": b"AUTH XOAUTH2"}
STARTTLS_ANSWER = {
    "starttls-454": b"454 4.7.0 TLS not available\r\n",
    "starttls-502": b"502 5.5.1 not implemented\r\n",
    "starttls-inject": b"220 go ahead\r\n250-injected\r\n250-PIPELINING\r\n250 SIZE 1\r\n",
}
TLS_MODES = {"starttls-garbage", "starttls-close", "cert-srv", "cert-dnsonly", "cert-wrong", "cert-expired",
             "cert-self", "tls10", "tls12", "tls-records", "tls12-records", "tls-cut", *STARTTLS_ANSWER}
MODES = sorted({
    "plain", "greet-never", "greet-close", "greet-rst", "greet-garbage", "no-ehlo", "no-pipelining",
    "mail-421-3rd", "data-451", "data-554", "data-drop", "body-rst", "body-drop",
    "drop-after-dot", "rst-after-dot", "stall-after-dot", "close-after-250", "quit-stall", "drip",
    "auth-echo", "auth-ok", "size-1000", "all-welcome", "rcpt-limit-3", "rcptmax-3",
    "no-starttls", "ehlo-421", "stumble", "rcpt-missing", "rcpt-354", "data-250", "data-421", "body-stall", "body-421",
    "early-250", "421-after-dot", "354-after-dot", "twice-after-dot", "idle-421", "utf8",
    "auth-drop", *AUTH_OFFER, *AUTH_ANSWER,
    *MAIL_ANSWER, *ENDLESS, *DRIPS, *TLS_MODES,
    *GREETING_ANSWER, *DOT_ANSWER})


class Gone(Exception):
    """The connection is over; the session ends."""


class Session:
    """One connection."""

    def __init__(self, server, sock):
        self.server = server
        self.sock = sock
        self.buffer = b""
        self.mails = 0       # MAIL commands of this connection
        self.recipients = [] # accepted ones of this mail
        self.encrypted = False

    def say(self, data):
        if self.server.mode == "drip":
            for byte in data:
                self.sock.sendall(bytes([byte]))
                time.sleep(0.002)
        elif self.encrypted and self.server.mode.endswith("-records"):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            for byte in data:
                self.sock.sendall(bytes([byte]))
        else:
            self.sock.sendall(data)

    def more(self):
        if self.server.mode.endswith("-records"):
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        data = self.sock.recv(65536)
        if not data:
            raise Gone
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        self.server.note_command(line)
        return line

    def endless(self, data):
        while not self.server.ended.is_set():
            self.sock.sendall(data)
        raise Gone

    def drip_for_ever(self, data):
        """A first piece, then a byte at a time, never the end of a reply."""
        self.sock.sendall(data)
        while not self.server.ended.wait(0.3):
            self.sock.sendall(b" ")
        raise Gone

    def misbehave(self, step):
        """What a mode STEP-endless or STEP-drip does instead of its reply."""
        mode = self.server.mode
        if mode.startswith(f"{step}-") and mode in ENDLESS:
            self.endless(ENDLESS[mode])
        if mode.startswith(f"{step}-") and mode in DRIPS:
            self.drip_for_ever(DRIPS[mode])

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        raise Gone

    def stall(self):
        """Read nothing and say nothing, until the client goes."""
        poll = select.poll()
        poll.register(self.sock, select.POLLRDHUP)
        while not self.server.ended.is_set() and not poll.poll(100):
            pass
        raise Gone

    def serve(self):
        self.greet()
        while True:
            line = self.line()
            verb = line[:4].upper().decode("ascii", "replace")
            handler = getattr(self, f"on_{verb.strip().lower()}", None)
            if handler is None:
                self.say(b"500 5.5.2 what\r\n")
            else:
                handler(line)

    def greet(self):
        mode = self.server.mode
        if mode in GREETING_ANSWER:
            self.say(GREETING_ANSWER[mode])
            raise Gone
        if mode == "greet-never":
            self.stall()
        if mode == "greet-close":
            raise Gone
        if mode == "greet-rst":
            self.reset()
        if mode == "greet-garbage":
            self.say(b"\x00\xff HTTP/1.1 200 OK\r\n\r\n")
            raise Gone
        if mode == "greet-huge":
            self.sock.sendall(b"220 ")
        self.misbehave("greet")
        self.say(b"220 fault.test ESMTP\r\n")

    def on_ehlo(self, _line):
        mode = self.server.mode
        if mode == "no-ehlo":
            self.say(b"502 5.5.1 not implemented\r\n")
            return
        if mode == "ehlo-421":
            self.say(b"421 4.3.2 going down\r\n")
            raise Gone
        self.misbehave("ehlo")
        words = [b"fault.test", b"8BITMIME", b"ENHANCEDSTATUSCODES"]
        words.append(b"SIZE 1000" if mode == "size-1000" else b"SIZE 35882577")
        if mode != "no-pipelining":
            words.append(b"PIPELINING")
        if mode in TLS_MODES and not self.encrypted:
            words.append(b"STARTTLS")
        if mode == "utf8":
            words.append(b"SMTPUTF8")
        if mode == "rcptmax-3":
            words.append(b"LIMITS RCPTMAX=3 MAILMAX=50")
        if mode.startswith("auth-"):
            words.append(AUTH_OFFER.get(mode, b"AUTH PLAIN LOGIN") or b"8BITMIME")
        self.say(b"".join(b"250-" + word + b"\r\n" for word in words[:-1]) + b"250 " + words[-1] + b"\r\n")

    def on_helo(self, _line):
        self.say(b"250 fault.test\r\n")

    def on_star(self, _line):
        """STARTTLS."""
        mode = self.server.mode
        if mode not in TLS_MODES:
            self.say(b"500 5.5.2 what\r\n")
            return
        self.sock.sendall(STARTTLS_ANSWER.get(mode, b"220 go ahead\r\n"))
        if mode in ("starttls-454", "starttls-502"):
            return
        if mode == "starttls-close":
            raise Gone
        if mode == "starttls-garbage":
            self.more()  # the client's first bytes: before them it would be words put in behind the answer
            self.sock.sendall(b"this is no TLS record\r\n")
            self.more()
            raise Gone
        if mode == "tls-cut":
            self.sock = cut(self.sock)
        self.sock = self.server.context.wrap_socket(self.sock, server_side=True)
        self.encrypted = True
        self.buffer = b""

    def on_auth(self, line):
        words = line.split()
        if self.server.mode in AUTH_ANSWER:
            self.say(AUTH_ANSWER[self.server.mode])
            if self.server.mode == "auth-421":
                raise Gone
            return
        if self.server.mode == "auth-echo":  # some tell what they did not understand
            self.say(b"535 5.7.8 Not understood: " + line + b"\r\n")
            return
        if self.server.mode == "auth-drop":
            raise Gone
        if self.server.mode == "auth-token-echo":
            self.refuse_token(words)
            return
        self.misbehave("auth")
        rounds = {b"PLAIN": 1, b"LOGIN": 2, b"XOAUTH2": 1}[words[1].upper()] - (len(words) - 2)
        for _ in range(rounds):
            self.say(b"334 \r\n")
            self.line()
        self.say(b"235 2.7.0 ok\r\n")

    def refuse_token(self, words):
        """XOAUTH2, refused with what came in both places where a server can say why: the token, the line's beginning."""
        if len(words) < 3:
            self.say(b"334 \r\n")
            words.append(self.line())
        token = base64.b64decode(words[2]).decode().rstrip("\1").partition("Bearer ")[2]
        reason = json.dumps({"status": "401", "schemes": "bearer", "token": token})
        self.say(b"334 " + base64.b64encode(reason.encode()) + b"\r\n")
        self.line()
        self.say(b"535 5.7.8 Not understood: " + words[2][:60] + b"\r\n")

    def on_mail(self, _line):
        self.mails += 1
        self.recipients = []
        self.misbehave("mail")
        if self.server.mode == "stumble" and self.buffer:
            self.buffer = b""
            self.say(b"503 5.5.1 one command at a time\r\n")
        elif self.server.mode in MAIL_ANSWER:
            self.say(MAIL_ANSWER[self.server.mode])
            if self.server.mode == "mail-421":
                raise Gone
        elif self.server.mode == "mail-421-3rd" and self.mails >= 3:
            self.say(b"421 4.7.0 too many messages\r\n")
            raise Gone
        else:
            self.say(b"250 2.1.0 ok\r\n")

    def on_rcpt(self, line):
        address = line.partition(b"<")[2].partition(b">")[0].decode("utf-8", "replace")
        if address.startswith("drop"):
            self.say(b"421 4.3.0 bye\r\n")
            raise Gone
        if self.server.mode == "rcpt-missing":
            self.recipients.append(address)
            return
        if self.server.mode == "rcpt-354":
            self.say(b"354 go on\r\n")
            return
        if self.server.mode in TOO_MANY and len(self.recipients) >= 3:
            self.say(TOO_MANY[self.server.mode])
            return
        for prefix, answer in RCPT_ANSWER.items():
            if address.startswith(prefix) and self.server.mode != "all-welcome":
                if answer.startswith(b"2"):
                    self.recipients.append(address)
                self.say(answer)
                return
        self.recipients.append(address)
        self.say(b"250 2.1.5 ok\r\n")

    def on_data(self, _line):
        mode = self.server.mode
        if mode == "data-451":
            self.say(b"451 4.3.0 try later\r\n")
        elif mode == "data-554":
            self.say(b"554 5.7.1 not you\r\n")
        elif mode == "data-250":
            self.say(b"250 2.0.0 ok\r\n")
        elif mode == "data-421":
            self.say(b"421 4.3.2 going down\r\n")
            raise Gone
        elif mode == "data-drop":
            raise Gone
        elif not self.recipients:
            self.say(b"554 5.5.1 no valid recipients\r\n")
        else:
            self.say(b"354 go on\r\n250 2.0.0 Ok: queued already\r\n" if mode == "early-250" else b"354 go on\r\n")
            self.content()

    def content(self):
        mode = self.server.mode
        if mode in ("body-rst", "body-drop"):
            self.more()
            self.reset() if mode == "body-rst" else self.drop()
        if mode == "body-stall":
            self.stall()
        if mode == "body-421":
            self.more()
            self.say(b"421 4.3.2 going down\r\n")
            self.stall()
        self.buffer = b"\r\n" + self.buffer  # of DATA: an empty mail is a dot alone
        while b"\r\n.\r\n" not in self.buffer:
            self.more()
        content, _, self.buffer = self.buffer.partition(b"\r\n.\r\n")
        content = content.removeprefix(b"\r\n")
        if not content:
            self.say(b"503 5.5.1 no mail\r\n")
            return
        self.server.note_content(content + b"\r\n", self.recipients)
        if mode == "drop-after-dot" or (mode != "all-welcome" and any(r.startswith("lost") for r in self.recipients)):
            raise Gone
        if mode == "rst-after-dot":
            self.reset()
        if mode == "stall-after-dot":
            self.stall()
        self.misbehave("dot")
        answer = DOT_ANSWER.get(mode, b"250 2.0.0 Ok: queued as 4FZq1\r\n")
        if answer.startswith(b"25"):
            self.server.note_accepted(content + b"\r\n", self.recipients)
        self.say(answer)
        if mode == "idle-421":
            self.say(b"421 4.4.2 idle for too long\r\n")
        if mode in ("close-after-250", "421-after-dot", "idle-421"):
            raise Gone

    def drop(self):
        raise Gone

    def on_rset(self, _line):
        self.say(b"250 2.0.0 ok\r\n")

    def on_noop(self, _line):
        self.say(b"250 2.0.0 ok\r\n")

    def on_quit(self, _line):
        if self.server.mode == "quit-stall":
            self.stall()
        self.say(b"221 2.0.0 bye\r\n")
        raise Gone


def cut(sock):
    """A socket in the place of sock, over which every byte that is sent goes out alone."""
    near, far = socket.socketpair()

    def copy(source, target, size):
        try:
            while data := source.recv(size):
                target.sendall(data)
        except OSError:
            pass
        finally:
            target.close()

    for source, target, size in ((sock, far, 65536), (far, sock, 1)):
        threading.Thread(target=copy, args=(source, target, size), daemon=True).start()
    return near


def tls_context(mode, certificates):
    name = mode.removeprefix("cert-") if mode.startswith("cert-") else "srv"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if mode == "tls10":
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    if mode.startswith("tls12"):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return context


class FaultServer:
    """Listens on a port of the kernel's choice from construction to close; a thread for each connection."""

    def __init__(self, mode="plain", certificates=None, host="127.0.0.1", port=0):
        self.context = None
        if mode in TLS_MODES:
            self.context = tls_context(mode, certificates)
        self.open = 0        # connections that are still there
        self.most = 0        # of them at once, ever
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.commands = []
        self.contents = []  # (bytes, recipients)
        self.accepted = []
        self.connections = 0
        self.set_mode(mode)
        self.listener = socket.create_server((host, port), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept_all, daemon=True).start()

    def set_mode(self, mode):
        if mode not in MODES:
            raise ValueError(f"no mode {mode}; there are: {' '.join(MODES)}")
        self.mode = mode

    def accept_all(self):
        while not self.ended.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.open += 1
                self.most = max(self.most, self.open)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = Session(self, sock)
        try:
            session.serve()
        except (Gone, OSError):
            pass
        finally:
            session.sock.close()
            with self.lock:
                self.open -= 1

    def note_command(self, line):
        with self.lock:
            self.commands.append(line)

    def note_content(self, content, recipients):
        with self.lock:
            self.contents.append((content, list(recipients)))

    def note_accepted(self, content, recipients):
        with self.lock:
            self.accepted.append((content, list(recipients)))

    def close(self):
        self.ended.set()
        # close alone does not wake accept(2) in the other thread.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


if __name__ == "__main__":
    with FaultServer(sys.argv[1] if len(sys.argv) > 1 else "plain") as by_hand:
        print(f"127.0.0.1:{by_hand.port} {by_hand.mode}", flush=True)
        threading.Event().wait()
