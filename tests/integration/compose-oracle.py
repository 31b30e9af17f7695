#!/usr/bin/python3
"""Composed mail, read back by parsers that are not ours: Python's email package, GMime and npm mailparser.

usage: compose-oracle.py [--count N] [--seed S] [--readers python,gmime,mailparser]   environment: TPN_BUILD_DIR

Random requests go through compose_tool; each reader must find no defect in the mail and give back exactly what the request asked for:
subject, names, addresses, text, HTML, calendar, attachments with their names. The bytes themselves must be CRLF only, 7-bit,
without a leading dot, and within 76 characters wherever a line could be folded. The seed is printed first: the same seed, the
same requests."""

import argparse
import base64
import email
import email.utils
import json
import os
import random
import re
import struct
import subprocess
import sys
from email import policy
from email.header import decode_header, make_header

import npm_peer
from random_mail import Composer, Maker
from tpn_harness import BUILD_DIR, SOURCE_DIR, find_program, protocol

READERS = ("python", "gmime", "mailparser")


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
        self.check_options()
        self.check_mailboxes()
        self.check_text()
        self.check_attachments()

    def check_options(self):
        asked = self.request
        words = {0: (None, None, None), 1: ("low", "non-urgent", "5"), 2: ("normal", "normal", "3"), 3: ("high", "urgent", "1")}
        self.same("importance", tuple(self.mail[name] for name in ("Importance", "Priority", "X-Priority")), words[asked.importance])
        self.same("Auto-Submitted", self.mail["Auto-Submitted"], "auto-generated")
        receipt = self.mail["Disposition-Notification-To"]
        self.same("read receipt", receipt is not None, asked.request_read_receipt)
        links = "".join((self.mail["List-Unsubscribe"] or "").split())
        self.same("List-Unsubscribe", links, ",".join(f"<{uri}>" for uri in asked.list_unsubscribe.uris))
        self.same("one click", self.mail["List-Unsubscribe-Post"],
                  "List-Unsubscribe=One-Click" if asked.list_unsubscribe.one_click else None)
        sender = asked.HasField("sender") and asked.sender.address != getattr(asked, "from").address
        self.same("Sender", self.mail["Sender"] is not None, sender)


class Reader:
    """A program that reads mails (tests/support/gmime_tool.c has the form of its answers), asked for one after the other."""

    def __init__(self, name):
        self.name = name
        command, env = {"gmime": self.gmime, "mailparser": self.mailparser}[name]()
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **env})

    @staticmethod
    def gmime():
        return [find_program("gmime_tool")], {}

    @staticmethod
    def mailparser():
        modules = npm_peer.install(BUILD_DIR, "mailparser")
        return ["node", str(SOURCE_DIR / "tests" / "peers" / "mailparser_read.js")], {"NODE_PATH": modules}

    def read(self, mail):
        self.child.stdin.write(struct.pack(">I", len(mail)) + mail)
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        if not line:
            raise AssertionError(f"{self.name} gave no answer")
        return json.loads(line)

    def close(self):
        self.child.stdin.close()
        self.child.wait()
        self.child.stdout.close()


class Reading:
    """Compares what a reader found with what was asked."""

    def __init__(self, name, found, request):
        self.name = name
        self.found = found
        self.request = request.message
        self.parts = [(part, base64.b64decode(part["data"])) for part in found.get("parts", [])]

    # What a reader is known to do with good mail; each is left out of the comparison, and of nothing else.

    def knows(self, quirk):
        return (self.name, quirk) in {
            ("gmime", "tells of filename beside filename*"),  # its warning 11, or 2 when both say the same; that is the ASCII fallback
            ("mailparser", "decodes =? in file names"),  # RFC 2231 has decoded the name already
            ("mailparser", "splits quoted local parts"),  # "a b"@x becomes a name and an address
            ("mailparser", "shows inline texts"),  # a text/… part without "attachment" is a part of the text
        }

    def same(self, what, got, wanted):
        if got != wanted:
            raise AssertionError(f"{self.name}: {what}\n  got    {got!r}\n  wanted {wanted!r}")

    def boxes(self, asked):
        return [(box.name, unquote_local(wire_domain(box.address))) for box in asked]

    def check_mailboxes(self):
        asked = self.request
        sender = [asked.sender] if asked.HasField("sender") and asked.sender.address != getattr(asked, "from").address else []
        for key, boxes in (("from", [getattr(asked, "from")]), ("sender", sender), ("to", asked.to), ("cc", asked.cc),
                           ("reply_to", asked.reply_to)):
            if self.knows("splits quoted local parts") and any(box.address.startswith('"') for box in boxes):
                continue
            got = [(name, unquote_local(wire_domain(address))) for name, address in self.found[key] if address != "group"]
            self.same(key, got, self.boxes(boxes))

    def body(self, kind):
        return [normal(data.decode()) for part, data in self.parts if part["type"] == kind and part["disposition"] == ""]

    def check_text(self):
        asked = self.request
        if asked.text or not asked.html:
            self.same("text", [text.rstrip("\n") for text in self.body("text/plain")] or [""], [normal(asked.text).rstrip("\n")])
        self.same("html", [text.rstrip("\n") for text in self.body("text/html")], [normal(asked.html).rstrip("\n")] if asked.html else [])
        calendar = [data for part, data in self.parts if part["type"] == "text/calendar" and part["disposition"] == ""]
        self.same("calendar", calendar, [asked.calendar] if asked.calendar else [])

    def check_attachments(self):
        got = [(part["name"], data, part["disposition"] == "inline", part["id"]) for part, data in self.parts if part["disposition"]]
        wanted = [(a.file_name, a.content, a.is_inline, a.content_id) for a in self.request.attachments]
        wanted.sort(key=lambda item: not item[2])
        if self.knows("decodes =? in file names"):
            got, wanted = ([("" if "=?" in asked.file_name else item[0], *item[1:]) for item, asked in zip(items, self.in_order())]
                           for items in (got, wanted))
        self.same("attachments", got, wanted)

    def in_order(self):
        """The attachments as they stand in the mail: inline ones with the HTML, before the others."""
        return sorted(self.request.attachments, key=lambda item: not item.is_inline)

    def check(self):
        defects = self.found["defects"]
        if self.knows("tells of filename beside filename*"):
            defects = [defect for defect in defects if not re.fullmatch(r"(2|11) at \d+: filename", defect)]
        self.same("defects", defects, [])
        self.same("subject", self.found["subject"], self.request.subject)
        self.check_mailboxes()
        if self.knows("shows inline texts") and any(a.is_inline and a.content_type.startswith("text/") for a in self.request.attachments):
            return
        self.check_text()
        self.check_attachments()


def check_mail(mail, request, names, readers):
    if "python" in names:
        Oracle(mail, request).check()
    for reader in readers:
        Reading(reader.name, reader.read(mail), request).check()


def run(arguments):
    maker = Maker(protocol(), random.Random(arguments.seed))
    names = arguments.readers.split(",")
    readers = [Reader(name) for name in names if name != "python"]
    failed = number = 0
    with Composer(find_program("compose_tool")) as composer:
        for number in range(arguments.count):
            request = maker.request(number)
            try:
                check_mail(composer.mail(request), request, names, readers)
            except (AssertionError, ValueError) as error:
                failed += 1
                print(f"message {number}: {error}")
                if failed >= arguments.show:
                    break
    for reader in readers:
        reader.close()
    print(f"{number + 1} messages, {', '.join(names)}: {failed} failed")
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--show", type=int, default=5, help="stop after so many failures")
    parser.add_argument("--readers", default=",".join(READERS))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
