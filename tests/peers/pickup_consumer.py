"""A consumer of a pickup folder, by the rules of Exchange and of the IIS SMTP service.

usage: pickup_consumer.py FOLDER HOST PORT

Polls for *.eml; claims a file by renaming it to .tmp; takes the envelope from the X-Sender and X-Receiver lines (IIS), else
from Sender or From, To, Cc and Bcc (Exchange); sends the mail on without those lines and without Bcc, and removes the file. What it cannot
use (a bare LF, a header above 64 KB, more than 100 recipients, no sender or recipient, a refusal) it renames to .bad.
Prints "ok NAME" or "bad NAME reason"."""
import email
import email.policy
import email.utils
import pathlib
import smtplib
import sys
import time

HEADER_MAX = 65536
RECIPIENTS_MAX = 100
ENVELOPE_HEADERS = (b"bcc:", b"x-sender:", b"x-receiver:")


def envelope(mail):
    """(sender, recipients)"""
    sender = mail.get_all("X-Sender") or mail.get_all("Sender") or mail.get_all("From") or []
    people = mail.get_all("X-Receiver") or [value for name in ("To", "Cc", "Bcc") for value in mail.get_all(name, [])]
    people = [address for _, address in email.utils.getaddresses([str(value) for value in people]) if address]
    return email.utils.parseaddr(str(sender[0]) if sender else "")[1], people


def without_envelope(head):
    """The header lines that travel on."""
    kept = []
    drop = False
    for line in head.split(b"\r\n"):
        if line[:1] not in (b" ", b"\t"):
            drop = line.lower().startswith(ENVELOPE_HEADERS)
        if not drop:
            kept.append(line)
    return b"\r\n".join(kept)


def send_on(content, host, port):
    if b"\n" in content.replace(b"\r\n", b""):
        raise ValueError("a bare LF")
    head, blank, body = content.partition(b"\r\n\r\n")
    if len(head) > HEADER_MAX:
        raise ValueError(f"a header of {len(head)} bytes")
    sender, people = envelope(email.message_from_bytes(content, policy=email.policy.compat32))
    if not sender or not people:
        raise ValueError("no sender or no recipient")
    if len(people) > RECIPIENTS_MAX:
        raise ValueError(f"{len(people)} recipients")
    with smtplib.SMTP(host, port) as server:
        server.sendmail(sender, people, without_envelope(head) + blank + body)


def take(path, host, port):
    claimed = path.with_suffix(".tmp")
    path.rename(claimed)
    try:
        send_on(claimed.read_bytes(), host, port)
    except (ValueError, smtplib.SMTPException) as error:
        claimed.rename(path.with_suffix(".bad"))
        print(f"bad {path.name} {error}", flush=True)
        return
    claimed.unlink()
    print(f"ok {path.name}", flush=True)


def main():
    folder, host, port = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    while True:
        for path in sorted(folder.glob("*.eml")):
            take(path, host, port)
        time.sleep(0.1)


def consumer(lab, folder, port, name="consumer"):
    """A started consumer of the lab that sends to a server on this machine."""
    from tpn_harness import Process
    return lab.add(Process(lab, name, [sys.executable, __file__, folder, "127.0.0.1", port])).start()


if __name__ == "__main__":
    main()
