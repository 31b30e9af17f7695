#!/usr/bin/python3
"""Composed mail, read back by a parser that is not ours: Python's email package.

usage: compose-oracle.py COMPOSE_TOOL [--count N] [--seed S] [--proto DIR]

Random requests go through compose_tool; each mail must parse without a defect and say exactly what the request asked for:
subject, names, addresses, text, HTML, calendar, attachments with their names. The bytes themselves must be CRLF only, 7-bit,
without a leading dot, and within 76 characters wherever a line could be folded. The seed is printed first: the same seed, the
same requests."""

import argparse
import email
import email.utils
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
from email import policy
from email.header import decode_header, make_header

SCRIPTS = ["Łódź Zażółć", "Ελληνικά", "Привет", "日本語テスト", "한국어", "العربية", "עברית", "हिन्दी", "ไทย", "😀👩‍🔧🔧", "naïve café",
           "Ä", "ß", "e\u0301", "\u200b", "𝔘𝔫𝔦"]
ASCII_WORDS = ["Calibration", "due", "a", "QA", "report-17", "x" * 75, "y" * 80, "z" * 200, "=?UTF-8?Q?a?=", "=?", "?=", "_",
               "\"", "\\", "\\\"", ",", ";", "(c)", "<b>", "@", ":", "J.", "O'Neil", "100%", "=20", ".", "..", "From", "--", "%41''"]
FILE_NAMES = ["report.pdf", "a b.txt", "a\"b\\c;.bin", "Prüfbericht.pdf", "日本語" * 30 + ".xlsx", "😀.png", "a" * 60, "b" * 61, "c" * 240,
              "per%41cent.txt", "x'y''z.txt", ".hidden", "con", "a/b\\c", "tail.", "semi;colon=1.csv", "=?UTF-8?Q?x?=.txt", "(x).txt", "a,b.txt"]
TYPES = ["", "application/pdf", "text/plain", "text/csv", "image/png", "message/rfc822", "multipart/mixed"]


class Maker:
    """Random requests. Each method draws from one random source, so that a seed gives the same ones."""

    def __init__(self, pb, rng):
        self.pb = pb
        self.rng = rng

    def words(self, most):
        rng = self.rng
        out = []
        for _ in range(rng.randint(0, most)):
            kind = rng.random()
            if kind < 0.4:
                out.append(rng.choice(ASCII_WORDS))
            elif kind < 0.7:
                out.append(rng.choice(SCRIPTS))
            else:
                out.append("".join(rng.choice("abcdefghij KLMNÄß日😀.,_=?") for _ in range(rng.randint(1, 30))))
        return rng.choice(["", "", " ", "  "]).join(out) if rng.random() < 0.2 else " ".join(out)

    def line(self, most):
        """A text of one line, now and then of a length near a fold."""
        if self.rng.random() < 0.3:
            return self.rng.choice(["a", "ä", "日", "😀", "a b", "=", "\""]) * self.rng.randint(1, 160)
        return self.words(most)

    def name(self):
        # What a mailbox is called has no blanks at its ends: every reader strips them.
        return self.line(4).strip()[:80].strip()

    def address(self):
        rng = self.rng
        local = rng.choice(["a", "john.doe", "x+y", "o'neil", "\"quoted local\"", "\"a\\\"b\"", "l" * 64, "=?x?="])
        domain = rng.choice(["example.test", "sub.example.test", "bücher.example", "例え.テスト", "[192.0.2.1]", "d" * 60 + ".test"])
        return f"{local}@{domain}"

    def mailbox(self, box):
        box.address = self.address()
        if self.rng.random() < 0.8:
            box.name = self.name()

    def body(self):
        rng = self.rng
        lines = []
        for _ in range(rng.randint(0, 12)):
            lines.append(rng.choice([
                "", ".", "..", ".leading", "From here", "trailing  ", "tab\t", "--", "--=_x", "=", "=20", "Subject: no", "x" * rng.randint(70, 80),
                "y" * 1200, "ä" * rng.randint(20, 60), "plain words of a line", "日本語" * rng.randint(1, 40), self.words(6), "<p>a &amp; b</p>"]))
        return rng.choice(["\n", "\r\n", "\r"]).join(lines) + rng.choice(["", "\n", "\r\n", "\r"])

    def attachment(self, item, index, inline):
        rng = self.rng
        item.file_name = rng.choice(FILE_NAMES) if rng.random() < 0.8 else self.line(3)[:100]
        item.content_type = rng.choice(TYPES)
        item.content = rng.randbytes(rng.choice([0, 1, 2, 3, 56, 57, 58, 114, 1000, 5000]))
        if rng.random() < 0.2:
            item.content = b".\r\n.\r\nFrom x\n"
        if inline:
            item.is_inline = True
            item.content_id = f"img{index}@trackpro"

    def request(self, number):
        rng = self.rng
        request = self.pb.NotificationRequest(id=f"r{number}")
        message = request.message
        self.mailbox(getattr(message, "from"))
        if rng.random() < 0.2:
            self.mailbox(message.sender)
        for field, most in (("reply_to", 1), ("to", 5), ("cc", 2), ("bcc", 1)):
            for _ in range(rng.randint(0, most)):
                self.mailbox(getattr(message, field).add())
        if len(message.to) + len(message.cc) + len(message.bcc) == 0:
            self.mailbox(message.to.add())
        message.subject = self.line(8)
        if rng.random() < 0.8:
            message.text = self.body()
        if rng.random() < 0.4:
            message.html = self.body()
        if rng.random() < 0.1:
            message.calendar = "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nSUMMARY:Prüfung\r\nEND:VCALENDAR\r\n".encode()
        for index in range(rng.choice([0, 0, 0, 1, 3])):
            self.attachment(message.attachments.add(), index, message.html != "" and rng.random() < 0.4)
        if rng.random() < 0.3:
            header = message.headers.add(name="X-Asset")
            header.value = self.line(6)
        message.importance = rng.randint(0, 3)
        message.request_read_receipt = rng.random() < 0.1
        return request


def wire_domain(address):
    """The address as it must be on the wire: A-labels."""
    local, _, domain = address.rpartition("@")
    if domain.startswith("["):
        return address
    return local + "@" + domain.encode("idna").decode()


def unquote_local(address):
    """Python shows a local part without the quotes that it does not need."""
    local, _, domain = address.rpartition("@")
    if local.startswith('"'):
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    return local + "@" + domain


def normal(text):
    return text.replace("\r\n", "\n").replace("\r", "\n")


class Oracle:
    """Compares one mail with what was asked."""

    def __init__(self, raw, request):
        self.raw = raw
        self.request = request.message
        self.mail = email.message_from_bytes(raw, policy=policy.default)

    def same(self, what, got, wanted):
        if got != wanted:
            raise AssertionError(f"{what}\n  got    {got!r}\n  wanted {wanted!r}")

    def check_bytes(self):
        raw = self.raw
        self.same("ends in CRLF", raw[-2:], b"\r\n")
        lines = raw[:-2].split(b"\r\n")
        head_lines = lines.index(b"")
        for number, line in enumerate(lines):
            if b"\r" in line or b"\n" in line:
                raise AssertionError(f"bare CR or LF: {line!r}")
            if line.startswith(b".") or line.startswith(b"From "):
                raise AssertionError(f"line starts with a dot or From: {line!r}")
            if any(b > 126 or (b < 32 and b != 9) for b in line):
                raise AssertionError(f"not 7-bit: {line!r}")
            if len(line) > 998:
                raise AssertionError(f"longer than 998: {line!r}")
            # Only an address or a message id, which cannot be folded, may be longer, and a word of another's header.
            if len(line) > 76 and not (number < head_lines and (b"@" in line or max(map(len, line.split())) > 66)):
                raise AssertionError(f"longer than 76: {line!r}")

    def check_defects(self):
        for part in self.mail.walk():
            self.same(f"defects of {part.get_content_type()}", part.defects, [])
            for name, value in part.items():
                defects = [d for d in value.defects if "duplicate" not in str(d)] if hasattr(value, "defects") else []
                self.same(f"defects of header {name}: {value}", defects, [])

    def names_of(self, header):
        """Names by the older functions: the header classes of Python 3.11 put a blank between two encoded words of a name. The older
        ones know no address literals, so these are replaced."""
        old = email.message_from_bytes(self.raw, policy=policy.compat32)
        values = [re.sub(r"\r?\n", "", value).replace("@[192.0.2.1]", "@literal.test") for value in old.get_all(header, [])]
        return [str(make_header(decode_header(name))) for name, _ in email.utils.getaddresses(values)]

    def none_of(self, header):
        """What names_of makes of an empty group."""
        return [""] if header == "To" and not self.request.cc else []

    def check_mailboxes(self):
        for header, boxes in (("From", [getattr(self.request, "from")]), ("To", self.request.to), ("Cc", self.request.cc),
                              ("Reply-To", self.request.reply_to)):
            wanted = [(b.name, unquote_local(wire_domain(b.address))) for b in boxes]
            got = []
            if self.mail[header] is not None:
                got = [unquote_local(a.addr_spec) for a in self.mail[header].addresses]
            self.same(header, got, [address for _, address in wanted])
            self.same(header + " names", self.names_of(header), [name for name, _ in wanted] or self.none_of(header))
        if not self.request.to and not self.request.cc:
            self.same("To", str(self.mail["To"]), "undisclosed-recipients:;")
        self.same("Bcc", self.mail["Bcc"], None)

    def parts(self, wanted_type):
        return [p for p in self.mail.walk() if p.get_content_type() == wanted_type and p.get_content_disposition() is None]

    def text_of(self, part):
        text = part.get_payload(decode=True).decode("utf-8")
        # A body of one part ends in a line end of its own; inside a multipart every byte counts.
        return normal(text)

    def check_text(self):
        single = not self.mail.is_multipart()
        [text] = self.parts("text/plain")
        got = self.text_of(text)
        wanted = normal(self.request.text)
        if single and got == wanted + "\n" and not wanted.endswith("\n"):
            got = wanted
        if self.request.text or not self.request.html:
            self.same("text", got, wanted)
        html = self.parts("text/html")
        self.same("html", [self.text_of(p) for p in html], [normal(self.request.html)] if self.request.html else [])
        calendar = self.parts("text/calendar")
        self.same("calendar", [p.get_payload(decode=True) for p in calendar], [self.request.calendar] if self.request.calendar else [])

    def check_attachments(self):
        got = []
        for part in self.mail.walk():
            disposition = part["Content-Disposition"]
            if disposition is not None:
                got.append((disposition.params.get("filename", ""), part.get_payload(decode=True),
                            disposition.content_disposition == "inline", (part["Content-ID"] or "").strip("<>")))
        wanted = [(a.file_name, a.content, a.is_inline, a.content_id) for a in self.request.attachments]
        # Inline ones stand with the HTML, before the others.
        wanted.sort(key=lambda item: not item[2])
        self.same("attachments", got, wanted)

    def check(self):
        self.check_bytes()
        self.check_defects()
        self.same("Subject", str(self.mail["Subject"]), self.request.subject)
        for header in self.request.headers:
            self.same(header.name, str(self.mail[header.name]), header.value)
        self.check_mailboxes()
        self.check_text()
        self.check_attachments()


def load_protocol(proto_dir, out_dir):
    names = [n for n in os.listdir(proto_dir) if n.endswith(".proto")]
    subprocess.run(["protoc", f"-I{proto_dir}", f"--python_out={out_dir}", *names], check=True, cwd=proto_dir)
    sys.path.insert(0, out_dir)
    import notification_pb2  # made a line ago
    return notification_pb2


def exchange(tool, request):
    data = request.SerializeToString()
    tool.stdin.write(struct.pack(">I", len(data)) + data)
    tool.stdin.flush()
    (length,) = struct.unpack(">I", tool.stdout.read(4))
    answer = tool.stdout.read(length)
    return answer[:1], answer[1:]


def run(arguments, pb):
    maker = Maker(pb, random.Random(arguments.seed))
    failed = 0
    with subprocess.Popen([arguments.tool], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tool:
        for number in range(arguments.count):
            request = maker.request(number)
            kind, answer = exchange(tool, request)
            try:
                if kind != b"M":
                    raise AssertionError("refused: " + answer.decode())
                Oracle(answer, request).check()
            except AssertionError as error:
                failed += 1
                print(f"message {number}: {error}")
                if failed >= arguments.show:
                    break
        tool.stdin.close()
        if tool.wait() != 0:
            print(f"compose_tool ended with {tool.returncode}")
            failed += 1
    print(f"{number + 1} messages, {failed} failed")
    return 1 if failed else 0


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tool")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--show", type=int, default=5, help="stop after so many failures")
    parser.add_argument("--proto", default=os.path.join(here, "..", "..", "proto"))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory() as out_dir:
        return run(arguments, load_protocol(arguments.proto, out_dir))


if __name__ == "__main__":
    sys.exit(main())
