"""A mail server that records every mail that reaches it whole, and misbehaves as it is told.

Before it answers the dot it appends a JSON line to --records:
    mid Message-ID · subject · rcpt accepted recipients · dup marked as a possible duplicate · tail last bytes ·
    answer "250" accepted and said so; "lost" accepted, the answer was withheld; else the code that refused it
So what stands there as "250" or "lost" is in somebody's mailbox, whatever the client believes.

--mode FILE names the fault, {"fault": NAME, "chance": 0.3}; it is read again when it changes, so a restart keeps it. Each
transaction (or connection) draws whether it is met. Apart from that the local part decides: no-… is refused with 550 at
RCPT, grey-… is put off with 450 every other time.

    fault_sink.py --records FILE --port-file FILE --mode FILE [--port N] [--seed N] [--stall-s S] [--delay-s S]
"""
import argparse
import asyncio
import json
import os
import pathlib
import random
import signal

LINE_LIMIT = 4096
END_OF_DATA = b"\r\n.\r\n"
TAIL_BYTES = 60
# What a connection or a transaction can meet. Those with a code refuse; the others are done in Session.
AT_CONNECT = {"connect-close": None, "connect-421": b"421 4.3.2 too busy", "connect-stall": None}
AT_MAIL = {"mail-451": b"451 4.3.0 not now", "mail-421": b"421 4.7.0 too many"}
AT_RCPT = {"rcpt-450": b"450 4.2.0 come back later"}
AT_DATA = {"data-451": b"451 4.3.0 not now", "data-554": b"554 5.7.1 not you", "drop-in-content": None,
           "stall-in-content": None}
AT_DOT = {"dot-451": b"451 4.3.0 queue full", "dot-554": b"554 5.7.1 refused as spam", "drop-before-answer": None,
          "drop-unseen": None, "stall-after-dot": None, "close-after-250": None}
FAULTS = (*AT_CONNECT, *AT_MAIL, *AT_RCPT, *AT_DATA, *AT_DOT)


class Mode:
    """The present fault, as the file says."""

    def __init__(self, path, seed):
        self.path = path
        self.seen = None
        self.fault = ""
        self.chance = 0.0
        self.dice = random.Random(seed)

    def draw(self, faults):
        """The fault of this group that is met now, or ''."""
        try:
            stamp = os.stat(self.path).st_mtime_ns
            if stamp != self.seen:
                wanted = json.loads(pathlib.Path(self.path).read_text("utf-8"))
                self.fault, self.chance, self.seen = wanted.get("fault", ""), wanted.get("chance", 0.0), stamp
        except FileNotFoundError:
            self.fault = ""
        return self.fault if self.fault in faults and self.dice.random() < self.chance else ""


class Sink:
    """What the connections share."""

    def __init__(self, options):
        self.file = open(options.records, "ab", buffering=0)  # pylint: disable=consider-using-with
        self.mode = Mode(options.mode, options.seed)
        self.stall_s = options.stall_s
        self.delay_s = options.delay_s
        self.number = 0
        self.grey = set()  # put off once

    def record(self, recipients, content, answer):
        """In the kernel when this returns: a kill of this process does not take it back."""
        self.number += 1
        head = content.split(b"\r\n\r\n", 1)[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
        fields = dict(line.partition(b":")[::2] for line in reversed(head.split(b"\r\n")))
        fields = {name.lower(): value.strip().decode("utf-8", "replace") for name, value in fields.items()}
        line = {"mid": fields.get(b"message-id", ""), "subject": fields.get(b"subject", ""), "rcpt": recipients,
                "dup": b"x-trackpro-possible-duplicate" in fields,
                "tail": content[-TAIL_BYTES:].decode("utf-8", "replace"), "answer": answer}
        self.file.write(json.dumps(line).encode() + b"\n")


def path_of(command):
    return command.partition(b"<")[2].partition(b">")[0].decode("utf-8", "replace")


class Session(asyncio.Protocol):
    """One connection. All complete commands of a read are answered in one write."""

    def __init__(self, sink):
        self.sink = sink
        self.buffer = bytearray()
        self.out = []
        self.state = "command"  # content, drop, waiting, over
        self.dot_fault = ""
        self.sender = None
        self.recipients = []

    def connection_made(self, transport):
        self.transport = transport
        fault = self.sink.mode.draw(AT_CONNECT)
        if fault == "connect-close":
            self.give_up()
        elif fault == "connect-stall":
            self.state = "waiting"
        elif fault:
            self.transport.write(AT_CONNECT[fault] + b"\r\n")
            self.state = "over"
            self.transport.close()
        else:
            self.transport.write(b"220 sink.test ESMTP\r\n")

    def give_up(self):
        self.state = "over"
        self.out.clear()
        self.transport.abort()

    def data_received(self, data):
        self.buffer += data
        self.turn()

    def turn(self):
        steps = {"command": self.take_command, "content": self.take_content, "drop": self.drop_content}
        while self.state in steps and steps[self.state]():
            pass
        if self.out and not self.transport.is_closing():
            self.transport.write(b"".join(self.out))
        self.out.clear()

    def say(self, line):
        self.out.append(line + b"\r\n")

    def take_command(self):
        end = self.buffer.find(b"\r\n")
        if end < 0:
            if len(self.buffer) > LINE_LIMIT:
                self.give_up()
            return False
        line = bytes(self.buffer[:end])
        del self.buffer[:end + 2]
        self.COMMANDS.get(line[:4].upper(), Session.on_other)(self, line)
        return True

    def drop_content(self):
        """The first bytes of the content have come: enough."""
        if self.buffer:
            self.give_up()
        return False

    def take_content(self):
        # The dot may stand alone at the start: an empty mail.
        if self.buffer.startswith(b".\r\n"):
            end, after = 0, 3
        else:
            end = self.buffer.find(END_OF_DATA)
            if end < 0:
                return False
            end, after = end + 2, end + len(END_OF_DATA)
        content = (b"\r\n" + bytes(self.buffer[:end])).replace(b"\r\n..", b"\r\n.")[2:]
        del self.buffer[:after]
        self.state = "command"
        self.end_of_content(content)
        return True

    def end_of_content(self, content):
        fault = self.sink.mode.draw(AT_DOT)
        answer = AT_DOT.get(fault)
        people, self.sender, self.recipients = self.recipients, None, []
        if answer:
            self.sink.record(people, content, answer[:3].decode())
            self.say(answer)
        elif fault == "drop-unseen":
            self.give_up()
        elif fault == "drop-before-answer":
            self.sink.record(people, content, "lost")
            self.give_up()
        elif fault == "stall-after-dot":
            self.sink.record(people, content, "lost")
            self.answer_later(self.sink.stall_s, fault)
        else:
            self.sink.record(people, content, "250")
            self.answer_later(self.sink.mode.dice.random() * self.sink.delay_s, fault)

    def answer_later(self, delay_s, fault):
        """The mail is in its box; its sender learns of it after a while. So a kill finds some mails on their way."""
        self.state = "waiting"
        asyncio.get_running_loop().call_later(delay_s, self.wake, b"250 2.0.0 Ok: queued as R%d" % self.sink.number,
                                              fault)

    def wake(self, answer, fault):
        self.state = "command"
        self.say(answer)
        if fault == "close-after-250":
            self.hang_up()
        else:
            self.turn()

    def hang_up(self):
        """What was said goes out, then the connection ends."""
        self.transport.write(b"".join(self.out))
        self.out.clear()
        self.state = "over"
        self.transport.close()

    def on_ehlo(self, _line):
        self.say(b"250-sink.test\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES")

    def on_helo(self, _line):
        self.say(b"250 sink.test")

    def on_mail(self, line):
        fault = self.sink.mode.draw(AT_MAIL)
        if fault:
            self.say(AT_MAIL[fault])
            if fault == "mail-421":
                self.hang_up()
            return
        self.sender = path_of(line)
        self.recipients = []
        self.say(b"250 2.1.0 Ok")

    def on_rcpt(self, line):
        if self.sender is None:
            self.say(b"503 5.5.1 MAIL first")
            return
        address = path_of(line)
        fault = self.sink.mode.draw(AT_RCPT)
        if address.startswith("no-"):
            self.say(b"550 5.1.1 no such user")
        elif fault:
            self.say(AT_RCPT[fault])
        elif address.startswith("grey-") and address not in self.sink.grey:
            self.sink.grey.add(address)
            self.say(b"450 4.2.0 greylisted")
        else:
            self.recipients.append(address)
            self.say(b"250 2.1.5 Ok")

    def on_data(self, _line):
        fault = self.sink.mode.draw(AT_DATA)
        if not self.recipients:
            self.say(b"554 5.5.1 no valid recipients")
        elif fault and AT_DATA[fault]:
            self.say(AT_DATA[fault])
        else:
            self.say(b"354 go on")
            self.state = {"drop-in-content": "drop", "stall-in-content": "stalled"}.get(fault, "content")

    def on_rset(self, _line):
        self.sender, self.recipients = None, []
        self.say(b"250 2.0.0 Ok")

    def on_noop(self, _line):
        self.say(b"250 2.0.0 Ok")

    def on_quit(self, _line):
        self.say(b"221 2.0.0 Bye")
        self.hang_up()

    def on_other(self, _line):
        self.say(b"500 5.5.2 unknown command")

    COMMANDS = {b"EHLO": on_ehlo, b"HELO": on_helo, b"MAIL": on_mail, b"RCPT": on_rcpt,
                b"DATA": on_data, b"RSET": on_rset, b"NOOP": on_noop, b"QUIT": on_quit}


async def serve(options):
    sink = Sink(options)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Session(sink), "127.0.0.1", options.port, backlog=1024)
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
    parser.add_argument("--mode", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stall-s", type=float, default=6.0)
    parser.add_argument("--delay-s", type=float, default=0.3, help="longest time until an accepted mail is answered")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
