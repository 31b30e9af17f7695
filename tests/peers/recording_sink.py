"""An SMTP server that takes everything and writes a line for each mail before it answers 250.

The line is JSON: id (Message-ID), from, rcpt (list), size, at. PIPELINING, SIZE and 8BITMIME are offered, no TLS.
With --keep DIR the content goes to DIR/N.eml (dots unstuffed). With --delay-ms N the answer after the dot waits.

    recording_sink.py --records FILE --port-file FILE [--keep DIR] [--delay-ms N]
"""
import argparse
import asyncio
import json
import pathlib
import signal
import sys
import time

LINE_LIMIT = 4096
END_OF_DATA = b"\r\n.\r\n"


class Records:
    """The file of accepted mails; what was appended is in the kernel before 250 goes out."""

    def __init__(self, path, keep):
        self.file = open(path, "ab", buffering=0)  # pylint: disable=consider-using-with
        self.keep = pathlib.Path(keep) if keep else None
        self.count = 0

    def add(self, sender, recipients, content):
        self.count += 1
        record = {"id": header(content, b"message-id"), "from": sender, "rcpt": recipients,
                  "size": len(content), "at": time.time()}
        if self.keep:
            (self.keep / f"{self.count}.eml").write_bytes(content)
        self.file.write(json.dumps(record).encode() + b"\n")
        return self.count


def header(content, name):
    """Value of the first header of that name, unfolded; '' when there is none."""
    head = content.split(b"\r\n\r\n", 1)[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
    for line in head.split(b"\r\n"):
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip().decode("utf-8", "replace")
    return ""


def path_of(command):
    """ann@example.test of b'RCPT TO:<ann@example.test> NOTIFY=NEVER'."""
    return command.partition(b"<")[2].partition(b">")[0].decode("utf-8", "replace")


class Session(asyncio.Protocol):
    """One connection. All complete commands of a read are answered in one write."""

    def __init__(self, records, delay_s):
        self.records = records
        self.delay_s = delay_s
        self.buffer = bytearray()
        self.out = []
        self.in_data = False
        self.waiting = False
        self.sender = None
        self.recipients = []

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"220 sink.test ESMTP\r\n")

    def data_received(self, data):
        self.buffer += data
        self.turn()

    def turn(self):
        while not self.waiting and (self.take_content() if self.in_data else self.take_command()):
            pass
        if self.out and not self.transport.is_closing():
            self.transport.write(b"".join(self.out))
        self.out.clear()

    def take_command(self):
        end = self.buffer.find(b"\r\n")
        if end < 0:
            if len(self.buffer) > LINE_LIMIT:
                self.transport.abort()
            return False
        line = bytes(self.buffer[:end])
        del self.buffer[:end + 2]
        answer = self.COMMANDS.get(line[:4].upper(), Session.on_other)(self, line)
        self.out.append(answer + b"\r\n")
        if line[:4].upper() == b"QUIT":
            self.transport.write(b"".join(self.out))
            self.out.clear()
            self.transport.close()
            return False
        return True

    def take_content(self):
        # The dot may stand alone at the start: an empty mail.
        if self.buffer.startswith(b".\r\n"):
            end, after = 0, 3
        else:
            end = self.buffer.find(END_OF_DATA)
            if end < 0:
                return False
            end, after = end + 2, end + len(END_OF_DATA)
        stuffed = b"\r\n" + bytes(self.buffer[:end])
        content = stuffed.replace(b"\r\n..", b"\r\n.")[2:]
        del self.buffer[:after]
        self.in_data = False
        number = self.records.add(self.sender, self.recipients, content)
        self.sender, self.recipients = None, []
        answer = b"250 2.0.0 Ok: queued as R%d\r\n" % number
        if self.delay_s:
            self.waiting = True
            asyncio.get_running_loop().call_later(self.delay_s, self.answer_later, answer)
            return False
        self.out.append(answer)
        return True

    def answer_later(self, answer):
        self.waiting = False
        self.out.append(answer)
        self.turn()

    def on_ehlo(self, _line):
        return b"250-sink.test\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES"

    def on_helo(self, _line):
        return b"250 sink.test"

    def on_mail(self, line):
        if self.sender is not None:
            return b"503 5.5.1 nested MAIL"
        self.sender = path_of(line)
        return b"250 2.1.0 Ok"

    def on_rcpt(self, line):
        if self.sender is None:
            return b"503 5.5.1 MAIL first"
        self.recipients.append(path_of(line))
        return b"250 2.1.5 Ok"

    def on_data(self, _line):
        if not self.recipients:
            return b"554 5.5.1 no valid recipients"
        self.in_data = True
        return b"354 go on"

    def on_rset(self, _line):
        self.sender, self.recipients = None, []
        return b"250 2.0.0 Ok"

    def on_noop(self, _line):
        return b"250 2.0.0 Ok"

    def on_quit(self, _line):
        return b"221 2.0.0 Bye"

    def on_other(self, _line):
        return b"500 5.5.2 unknown command"

    COMMANDS = {b"EHLO": on_ehlo, b"HELO": on_helo, b"MAIL": on_mail, b"RCPT": on_rcpt,
                b"DATA": on_data, b"RSET": on_rset, b"NOOP": on_noop, b"QUIT": on_quit}


async def serve(options):
    records = Records(options.records, options.keep)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Session(records, options.delay_ms / 1000),
                                      "127.0.0.1", options.port, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    part = pathlib.Path(options.port_file + ".part")
    part.write_text(f"{port}\n", encoding="ascii")
    part.replace(options.port_file)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", required=True)
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--keep")
    parser.add_argument("--delay-ms", type=int, default=0)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
else:
    from tpn_harness import Process, wait_until

    class Sink(Process):
        """The sink as a process of a lab. A restart listens on the same port and adds to the same records."""

        def __init__(self, lab, options=()):
            self.records = lab.dir / "sink.records"
            self.port_file = lab.dir / "sink.port"
            self.port = 0
            self.options = list(options)
            super().__init__(lab, "sink", [])

        def start(self):
            self.argv = [sys.executable, __file__, "--records", str(self.records), "--port-file",
                         str(self.port_file), "--port", str(self.port),
                         *(str(word) for word in self.options)]
            self.port_file.unlink(missing_ok=True)
            super().start()
            wait_until(lambda: self.port_file.exists() or not self.alive(), "the sink to listen")
            self.port = int(self.port_file.read_text())
            return self

        def mails(self):
            """Every accepted mail, oldest first."""
            if not self.records.exists():
                return []
            lines = self.records.read_bytes().split(b"\n")[:-1]
            return [json.loads(line) for line in lines]

        def count(self):
            return len(self.mails())
