"""Evidence: export as JSON lines and CSV, by label; verify finds what was altered, is missing or out of order, in an export and
in the store; the audit log is evidence too; a subscriber fetches what it missed."""
import contextlib
import csv
import io
import json
import os
import signal
import sqlite3
import time

import tpn_wire
from tpn_harness import Process, check, check_equal, find_program, run, smtp_profile, wait_until


def busy_broker(lab):
    """Six requests, three of asset 17; one operator's act."""
    server = lab.faultd()
    broker = lab.broker({"lab": smtp_profile(server.port)}, {"retry": {"delays": ["1h"]}})
    publisher = lab.publisher(broker)
    lab.worker(broker)
    for i in range(6):
        request = lab.request(f"r{i}", to=["ann@e.test", "no1@e.test"] if i == 3 else ["ann@e.test"])
        request.message.subject = f'=1+1, "due" {i}'
        request.labels.add(name="asset", value="17" if i % 2 else "18")
        publisher.submit(request)
    wait_until(lambda: all(publisher.state(f"r{i}") in ("SENT", "FAILED") for i in range(6)), "outcomes")
    check_equal(lab.tpn(broker, "queue", "redrive", "r0").returncode, 1, "an act that is refused")
    return broker


def export(lab, broker, *argv):
    result = lab.tpn(broker, "evidence", "export", *argv)
    check_equal(result.returncode, 0, f"export {argv}: {result.stderr}")
    return result.stdout


def verify_text(lab, broker, text, *argv):
    path = lab.dir / "export"
    path.write_bytes(text.encode())
    result = lab.tpn(broker, "evidence", "verify", path, *argv)
    return result.returncode, result.stdout + result.stderr


def test_export_tells_who_was_told_what(lab):
    broker = busy_broker(lab)
    lines = [json.loads(line) for line in export(lab, broker).splitlines()]
    days = [line for line in lines if line["kind"] == "day"]
    entries = [line for line in lines if line["kind"] == "entry"]
    check_equal(len(entries), 24, "entries")
    final = next(e["event"] for e in entries if e["event"]["request_id"] == "r3" and e["event"]["state"] == "FAILED")
    check_equal([(r["address"], r["outcome"], r["smtp_code"]) for r in final["recipients"]],
                [("ann@e.test", "DELIVERED", 250), ("no1@e.test", "REFUSED", 550)], "who was told")
    first = next(e for e in entries if e["event"]["request_id"] == "r3")
    check_equal((first["event"]["subject"], first["event"]["labels"], len(first["content_sha256"])),
                ('=1+1, "due" 3', ["asset=17"], 64), "what")
    check_equal(verify_text(lab, broker, export(lab, broker))[0], 0, "verify")

    # By label: the others are there as their digests only, and the whole can still be checked.
    text = export(lab, broker, "--label", "asset=17")
    lines = [json.loads(line) for line in text.splitlines()]
    told = {line["event"]["request_id"] for line in lines if line["kind"] == "entry"}
    check_equal(told, {"r1", "r3", "r5"}, "requests of the label")
    check("r2" not in text and sum(line["kind"] == "digest" for line in lines) == 12, "what is left out")
    code, said = verify_text(lab, broker, text)
    check_equal((code, "12 entries, 12 more by digest" in said), (0, True), said)

    # CSV: a row for each recipient, and no text that a spreadsheet takes for a formula.
    text = lab.tpn(broker, "evidence", "export", "--format", "csv", "-o", lab.dir / "out.csv")
    check_equal(text.returncode, 0, "csv")
    text = (lab.dir / "out.csv").read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    check(all(None not in row and None not in row.values() for row in rows), "columns")
    refused = next(row for row in rows if row["recipient"] == "no1@e.test" and row["outcome"] == "REFUSED")
    check_equal((refused["smtp_code"], refused["id"]), ("550", "r3"), "the server's word")
    check(next(row for row in rows if row["subject"])["subject"].startswith("'=1+1"), "a formula")
    code, said = verify_text(lab, broker, text)
    check_equal(code, 0, f"verify of CSV: {said}")

    day = days[-1]["date"]
    head = json.loads(lab.tpn(broker, "evidence", "days", "--json").stdout.splitlines()[-1])["head"]
    whole = export(lab, broker)
    check_equal(verify_text(lab, broker, whole, "--head", f"{day}={head}")[0], 0, "the head that was noted")
    check_equal(verify_text(lab, broker, whole, "--head", f"{day}={'0' * 64}")[0], 1, "another head")
    check_equal(verify_text(lab, broker, whole, "--head", f"1999-01-01={head}")[0], 1, "a day that is not there")
    check_equal(export(lab, broker, "--to", "1999-01-01"), "", "no such day")
    check_equal(lab.tpn(broker, "evidence", "verify").returncode, 0, "verify of the store")

    audit = [json.loads(line) for line in export(lab, broker, "--audit").splitlines()]
    record = next(line["record"] for line in audit if line["kind"] == "entry")
    check_equal((record["act"], record["target"], record["outcome"], record["why"]), ("redrive", "r0", "refused", "it was sent"),
                "audit")
    check_equal(verify_text(lab, broker, export(lab, broker, "--audit"))[0], 0, "verify of the audit log")
    check_equal(verify_text(lab, broker, export(lab, broker, "--audit", "--format", "csv"))[0], 0, "the same as CSV")


def test_verify_finds_what_was_done_to_an_export(lab):
    broker = busy_broker(lab)
    missed = []
    for form in ("json", "csv"):
        lines = export(lab, broker, "--format", form).splitlines(keepends=True)
        text = "".join(lines)
        first = next(i for i, line in enumerate(lines) if "ACCEPTED" in line)
        day = next(i for i, line in enumerate(lines) if "day=" in line)
        start = text.index("start=")
        rows = (("an address", text.replace("ann@e.test", "bob@e.test", 1)),
                ("a state", text.replace("SENT", "FAILED", 1)),
                ("a byte of the bytes", text.replace(b"ann@e.test".hex(), b"bob@e.test".hex(), 1)),
                ("a time", text.replace('"at_ms":17', '"at_ms":16', 1) if form == "json" else text.replace(",17", ",16", 1)),
                ("a missing entry", "".join(lines[:first] + lines[first + 1:])),
                ("the last entry missing", "".join(lines[:-1])),
                ("entries out of order", "".join(lines[:first] + [lines[first + 1], lines[first]] + lines[first + 2:])),
                ("an entry twice", "".join(lines[:first + 1] + [lines[first]] + lines[first + 1:])),
                ("no day", "".join(lines[:day] + lines[day + 1:])),
                ("the day's count", text.replace("count=24", "count=23", 1)),
                ("the day's start", text[:start + 6] + "f" + text[start + 7:]),
                ("not evidence", "hello\n"), ("half a line", text[:len(text) // 2]))
        for name, changed in rows:
            check(changed != text, f"{form}: {name} changes nothing")
            code, said = verify_text(lab, broker, changed)
            if code != 1:
                missed.append(f"{form}: {name}: exit {code}: {said}")
        check_equal(verify_text(lab, broker, text)[0], 0, form)
    check(not missed, "\n".join(missed))


def test_verify_finds_what_was_done_to_the_store(lab):
    broker = busy_broker(lab)
    for process in lab.processes:
        process.stop()
    with contextlib.closing(sqlite3.connect(broker.data / "store.db")) as db, db:
        data = db.execute("select event from history where request = 2 order by number desc limit 1").fetchone()[0]
        check(b"ann@e.test" in data, "the event")
        db.execute("update history set event = ? where event = ?", (data.replace(b"ann@e.test", b"bob@e.test"), data))
    broker.start()
    result = lab.tpn(broker, "evidence", "verify")
    check_equal((result.returncode, "it was changed" in result.stderr), (1, True), result.stderr)


def test_what_was_missed_is_fetched(lab):
    """REPLAY page by page, over a restart, at the admin socket and for a producer at the submit socket."""
    broker = busy_broker(lab)
    epoch = lab.follower(broker)
    del epoch
    for process in lab.processes:
        process.stop()
    broker.start()
    publisher = lab.publisher(broker)
    publisher.submit(lab.request("later", not_before_ms=9999999999999))
    pb = lab.pb
    for socket in ("admin", "submit"):
        with contextlib.closing(tpn_wire.Publisher(pb, broker.endpoints[socket])) as link:
            got, ask = [], pb.Replay(limit=7)
            while True:
                reply = pb.Replayed.FromString(link.exchange([b"TPN1.REPLAY", ask.SerializeToString()])[1])
                got += reply.events
                if not reply.HasField("next"):
                    break
                check(len(reply.events) <= 7, "a page")
                ask.after.CopyFrom(reply.next)
            check_equal(len(got), 25, f"events at {socket}")
            places = [(e.epoch, e.sequence) for e in got]
            check_equal(places, sorted(set(places)), "order")
            check_equal([p[1] for p in places], [*range(1, 25), 1], "sequences")
            check_equal((reply.first.epoch, reply.first.sequence), places[0], "the first that is kept")
            ask = pb.Replay(after=pb.EventPlace(epoch=places[3][0], sequence=4), until=pb.EventPlace(epoch=places[3][0], sequence=9))
            reply = pb.Replayed.FromString(link.exchange([b"TPN1.REPLAY", ask.SerializeToString()])[1])
            check_equal([e.sequence for e in reply.events], [5, 6, 7, 8, 9], "a gap")
            check(not reply.HasField("next"), "that was all of the gap")


def test_a_follower_fills_its_gaps(lab):
    """tpn-monitor --follow --replay: what happened while it did not listen stands in its place; without, a GAP tells it."""
    sink = lab.sink()
    broker = lab.broker({"lab": smtp_profile(sink.port)})
    lab.worker(broker)
    publisher = lab.publisher(broker)
    monitors = []
    for name, more in (("plain", []), ("replay", ["--replay", broker.endpoints["admin"]])):
        words = [find_program("tpn-monitor"), "--follow", "--status", broker.endpoints["status"], *more]
        monitors.append(lab.add(Process(lab, name, words)).start())
    publisher.submit(lab.request("before"))

    def heard_first(monitor):
        publisher.submit(lab.request(f"probe-{time.monotonic_ns()}"))
        return "probe-" in monitor.text()
    for monitor in monitors:
        wait_until(lambda: heard_first(monitor), f"{monitor.name} to listen", every_s=0.2)
        os.kill(monitor.pid, signal.SIGSTOP)
    broker.stop()
    broker.start()
    publisher = lab.publisher(broker)
    for i in range(30):
        publisher.submit(lab.request(f"missed-{i}"))
    wait_until(lambda: all(publisher.state(f"missed-{i}") == "SENT" for i in range(30)), "the mails")
    for monitor in monitors:
        os.kill(monitor.pid, signal.SIGCONT)
        wait_until(lambda: heard_first(monitor) and "RESTART" in monitor.text() and monitor.text().count("probe-") > 40,
                   f"{monitor.name} to hear again", every_s=0.1)
    plain, replay = (monitor.text().splitlines() for monitor in monitors)
    check(any(line.startswith("GAP ") for line in plain), "the one without tells the gap")
    check(not any("missed-0 " in line for line in plain), "it cannot know what was in it")
    check(not any(line.startswith("GAP ") for line in replay), "the one with fills it")
    for i in range(30):
        steps = [line.split()[1] for line in replay if f"id=missed-{i} " in line]
        check_equal(steps, ["ACCEPTED", "LEASED", "PERMITTED", "SENT"], f"missed-{i}")


run(globals())
