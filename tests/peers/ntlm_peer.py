"""An SMTP server that wants AUTH NTLM and takes version 2 only, as an Exchange server does: it sends target information with a
time, checks the response and the MIC, and says 535 to anything else. Written from MS-NLMP, apart from the worker's.

`challenge="v1"` sends none of that information, as servers of version 1 do. What it saw is in .logins: (domain, user,
"v2", accepted). TLS as in `tls`: "none", "starttls" (needed before AUTH) or "implicit".
"""
import base64
import contextlib
import hashlib
import hmac
import os
import socket
import ssl
import struct
import threading
import time

MASK = 0xFFFFFFFF
MIC_AT, MIC_BYTES = 72, 16
AV_COMPUTER, AV_DOMAIN, AV_DNS_COMPUTER, AV_DNS_DOMAIN, AV_FLAGS, AV_TIME = 1, 2, 3, 4, 6, 7
FLAGS = 0xE2898205  # Unicode, target, NTLM, sign always, target type domain, extended, target info, version, 128, 56
NO_INFO = 0x00800000


def rotate(x, n):
    return ((x << n) | (x >> (32 - n))) & MASK


def md4(data):
    """RFC 1320; hashlib has it only where OpenSSL's legacy provider is loaded."""
    length = len(data) * 8
    data += b"\x80" + b"\0" * ((55 - len(data)) % 64) + struct.pack("<Q", length)
    state = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476]
    third = (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15)
    for at in range(0, len(data), 64):
        words = struct.unpack("<16I", data[at:at + 64])
        a, b, c, d = state
        for i in range(48):
            if i < 16:
                value, turn = (b & c | ~b & d) + words[i], (3, 7, 11, 19)[i % 4]
            elif i < 32:
                j = i - 16
                value, turn = (b & c | b & d | c & d) + words[j % 4 * 4 + j // 4] + 0x5A827999, (3, 5, 9, 13)[i % 4]
            else:
                value, turn = (b ^ c ^ d) + words[third[i - 32]] + 0x6ED9EBA1, (3, 9, 11, 15)[i % 4]
            a, b, c, d = d, rotate((a + value) & MASK, turn), b, c
        state = [(x + y) & MASK for x, y in zip(state, (a, b, c, d))]
    return struct.pack("<4I", *state)


assert md4(b"abc").hex() == "a448017aaf21d8525fc10ae87aa6729d"


def utf16(text):
    return text.encode("utf-16-le")


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.md5).digest()


def pairs(info):
    """AV pairs of target information, as a dictionary."""
    found = {}
    while len(info) >= 4:
        kind, size = struct.unpack("<HH", info[:4])
        if kind == 0:
            break
        found[kind] = info[4:4 + size]
        info = info[4 + size:]
    return found


def challenge_message(nonce, domain, kind):
    def pair(number, value):
        return struct.pack("<HH", number, len(value)) + value
    name = utf16(domain)
    info = b""
    if kind == "v2":
        now = int((time.time() + 11644473600) * 1e7)
        info = (pair(AV_DOMAIN, name) + pair(AV_COMPUTER, utf16("EXCH01")) + pair(AV_DNS_DOMAIN, utf16("corp.test")) +
                pair(AV_DNS_COMPUTER, utf16("exch01.corp.test")) + pair(AV_TIME, struct.pack("<Q", now)) + bytes(4))
    flags = FLAGS if kind == "v2" else FLAGS & ~NO_INFO
    head = b"NTLMSSP\0" + struct.pack("<IHHII", 2, len(name), len(name), 56, flags) + nonce + bytes(8)
    return head + struct.pack("<HHI", len(info), len(info), 56 + len(name)) + bytes((10, 0, 0x63, 0x45, 0, 0, 0, 15)) + \
        name + info


class NtlmServer:
    """`with NtlmServer("CORP", "jörg", "pässword") as server`; .port, .logins, .mails (the contents)."""

    def __init__(self, domain, user, password, tls="none", certificate=None, challenge="v2"):
        self.account = (domain, user, password)
        self.tls, self.challenge = tls, challenge
        self.context = None
        if certificate is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(f"{certificate}.pem", f"{certificate}.key")
        self.logins, self.mails, self.connections = [], [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        with contextlib.suppress(OSError, EOFError), sock:
            if self.tls == "implicit":
                sock = self.context.wrap_socket(sock, server_side=True)
            Conversation(self, sock).run()

    def verify(self, messages, nonce):
        """(domain, user, version) of an AUTHENTICATE message, and whether it is the account's."""
        negotiate, challenge, answer = messages

        def part(at):
            size, _, offset = struct.unpack("<HHI", answer[at:at + 8])
            return answer[offset:offset + size]
        nt, domain, user = part(20), part(28).decode("utf-16-le"), part(36).decode("utf-16-le")
        if len(nt) <= 24:
            return (domain, user, "v1"), False
        account_domain, account_user, password = self.account
        key = mac(md4(utf16(password)), utf16(user.upper()), utf16(domain))
        proof, temp = nt[:16], nt[16:]
        good = hmac.compare_digest(mac(key, nonce, temp), proof)
        flags = pairs(temp[28:]).get(AV_FLAGS)
        if flags is not None and struct.unpack("<I", flags)[0] & 2:
            unsigned = answer[:MIC_AT] + bytes(MIC_BYTES) + answer[MIC_AT + MIC_BYTES:]
            wanted = mac(mac(key, proof), negotiate, challenge, unsigned)
            good = good and hmac.compare_digest(wanted, answer[MIC_AT:MIC_AT + MIC_BYTES])
        known = user.lower() in (account_user.lower(), f"{account_user}@corp.test".lower())
        return (domain, user, "v2"), good and known and domain.lower() in ("", account_domain.lower())


class Conversation:
    """One connection."""

    def __init__(self, server, sock):
        self.server, self.sock = server, sock
        self.file = sock.makefile("rb")
        self.encrypted = server.tls == "implicit"
        self.logged_in = False

    def say(self, text):
        self.sock.sendall(text.encode() + b"\r\n")

    def line(self):
        line = self.file.readline()
        if not line:
            raise EOFError
        return line.decode().rstrip("\r\n")

    def run(self):
        self.say("220 exch01 Microsoft ESMTP MAIL Service ready")
        while True:
            words = self.line().split()
            verb = words[0].upper() if words else ""
            handler = getattr(self, f"on_{verb.lower()}", None)
            if verb == "QUIT":
                self.say("221 2.0.0 bye")
                return
            if handler is None:
                self.say("250 2.0.0 ok")
            else:
                handler(words)

    def on_ehlo(self, _words):
        offer = ["exch01 Hello", "SIZE 37748736", "8BITMIME"]
        if self.server.tls == "starttls" and not self.encrypted:
            offer.append("STARTTLS")
        else:
            offer.append("AUTH GSSAPI NTLM")
        self.say("\r\n".join(f"250-{word}" for word in offer[:-1]) + f"\r\n250 {offer[-1]}")

    def on_starttls(self, _words):
        self.say("220 2.0.0 go ahead")
        self.sock = self.server.context.wrap_socket(self.sock, server_side=True)
        self.file = self.sock.makefile("rb")
        self.encrypted = True

    def on_auth(self, words):
        if [word.upper() for word in words[1:]] != ["NTLM"]:
            self.say("504 5.7.4 unrecognized authentication type")
            return
        self.say("334 NTLM supported")
        negotiate = base64.b64decode(self.line())
        nonce = os.urandom(8)
        challenge = challenge_message(nonce, self.server.account[0], self.server.challenge)
        self.say("334 " + base64.b64encode(challenge).decode())
        answer = base64.b64decode(self.line())
        told, good = self.server.verify((negotiate, challenge, answer), nonce)
        self.server.logins.append((*told, good))
        self.logged_in = good
        self.say("235 2.7.0 Authentication successful" if good else "535 5.7.3 Authentication unsuccessful")

    def on_mail(self, _words):
        self.say("250 2.1.0 ok" if self.logged_in else "530 5.7.57 Client was not authenticated")

    def on_data(self, _words):
        self.say("354 go")
        content = b""
        while True:
            line = self.file.readline()
            if line in (b".\r\n", b""):
                break
            content += line
        self.server.mails.append(content)
        self.say("250 2.6.0 <id@exch01> [InternalId=1] Queued mail for delivery")
