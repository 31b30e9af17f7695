"""An SMTP server that says what it is told to: a reply for each verb, the same for ever.

ScriptedServer({"AUTH": "535 5.7.139 …"}) answers everything else well; "\\n" between the lines of one reply. EHLO may be
given as a list of features. What came is kept in .commands. Clear text only: for TLS there is Postfix."""
import socket
import threading

GOOD = {"GREETING": "220 scripted.test ESMTP", "MAIL": "250 2.1.0 Ok", "RCPT": "250 2.1.5 Ok", "RSET": "250 2.0.0 Ok",
        "QUIT": "221 2.0.0 Bye", "AUTH": "235 2.7.0 Welcome", "DATA": "354 Go on"}
FEATURES = ("PIPELINING", "SIZE 1000000", "AUTH PLAIN LOGIN", "ENHANCEDSTATUSCODES")


class ScriptedServer:
    def __init__(self, replies=None, features=FEATURES):
        self.replies = {**GOOD, **(replies or {})}
        lines = ("scripted.test", *features)
        self.replies.setdefault("EHLO", "\n".join(
            f"250{'-' if i + 1 < len(lines) else ' '}{line}" for i, line in enumerate(lines)))
        self.commands = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        with sock, sock.makefile("rb") as lines:
            try:
                self.say(sock, "GREETING")
                for line in lines:
                    self.commands.append(line.rstrip(b"\r\n"))
                    verb = line[:4].upper().decode("ascii", "replace").strip()
                    self.say(sock, verb)
                    if verb == "QUIT":
                        return
            except OSError:
                pass

    def say(self, sock, verb):
        text = self.replies.get(verb, "502 5.5.1 not known here")
        sock.sendall(text.replace("\n", "\r\n").encode("utf-8") + b"\r\n")
