"""`tpn alert --calendar`: an event for each due item, read back by python3-icalendar (RFC 5545), not by our code."""
import csv
import io
import json

import icalendar

from tpn_harness import check, check_equal, parse_mail, pickup_profile, run

TODAY = "2026-11-23"
SENDER = '"Lab, ""Calibration""" <cal+due@lab.test>'.replace('""', "'")
ITEMS = [
    # asset, description, location, due
    ("TW-1", "Torque wrench", "Hall 1", "2026-11-20"),
    ("TW-2", "a,b;c\\d: \"quoted\" <x>", "Hall 2, shelf; left\\right", "2026-11-23"),
    ("日本-3", "計測器" * 30, "ä" * 200, "2026-10-01"),
    ("😀-4", "😀" * 40, "", "2025-02-28"),
    ("x" * 64, "y" * 300, "z", "2026-11-22"),
    ("N-1\nn", "two\nlines", "Hall 3", "2026-11-21"),
]


def table(lab):
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["Asset ID", "Description", "Location", "Status", "Due Date", "Date Done", "Custodian", "Custodian Email"])
    for asset, description, location, due in ITEMS:
        rows.writerow([asset, description, location, "Active", due, "", "Ana", "ana@lab.test"])
    path = lab.dir / "due.csv"
    path.write_text(out.getvalue(), encoding="utf-8", newline="")
    return path


def dry_run(lab, today):
    """The calendar that would be sent on that day, as text."""
    done = lab.tpn(lab.none, "alert", "--items", table(lab), "--today", today, "--early-warning", "3", "--from", SENDER, "--calendar",
                   "--dry-run", "--json")
    check_equal(done.returncode, 0, f"exit status; said {done.stderr}")
    [line] = done.stdout.splitlines()
    return json.loads(line)["calendar"]


def one_line(text):
    return " ".join(text.split("\n"))


class NoBroker:
    """A dry run asks nobody."""
    endpoints = {"submit": "tcp://127.0.0.1:1", "status": "tcp://127.0.0.1:1", "admin": "tcp://127.0.0.1:1"}


def test_every_item_is_an_event_that_says_the_same(lab):
    lab.none = NoBroker()
    text = dry_run(lab, TODAY)
    for line in text.encode().split(b"\r\n"):
        check(len(line) <= 75 and b"\n" not in line and b"\r" not in line, f"a line of {len(line)} octets: {line!r}")
        line.decode()  # a fold inside a character would break here
    calendar = icalendar.Calendar.from_ical(text)
    check_equal([str(calendar[name]) for name in ("VERSION", "METHOD")], ["2.0", "PUBLISH"], "head")
    events = calendar.walk("VEVENT")
    got = {(str(event["SUMMARY"]), str(event.get("LOCATION", "")), event["DTSTART"].dt.isoformat()) for event in events}
    wanted = {(f"Calibration {'past due' if due < TODAY else 'due'}: {one_line(asset)} {one_line(description)}", one_line(location), due)
              for asset, description, location, due in ITEMS}
    check_equal(got, wanted, "events")
    for event in events:
        check(not event.errors, f"errors: {event.errors}")
        check_equal(event["DTSTAMP"].dt.isoformat(), "2026-11-23T00:00:00+00:00", "DTSTAMP")
        check_equal(str(event["ORGANIZER"]), "mailto:cal+due@lab.test", "ORGANIZER")
        check_equal(event["ORGANIZER"].params["CN"], "Lab, 'Calibration'", "CN")
        check("ATTENDEE" not in event, "PUBLISH has no ATTENDEE (RFC 5546 3.2.1)")
    check_equal(len({str(event["UID"]) for event in events}), len(ITEMS), "different UIDs")


def test_the_next_day_moves_the_same_events(lab):
    lab.none = NoBroker()
    first, second = (icalendar.Calendar.from_ical(dry_run(lab, day)).walk("VEVENT") for day in (TODAY, "2026-11-24"))
    check_equal({str(event["UID"]) for event in first}, {str(event["UID"]) for event in second}, "UIDs")
    check(max(event["SEQUENCE"] for event in first) < min(event["SEQUENCE"] for event in second), "SEQUENCE must rise")
    check_equal(dry_run(lab, TODAY), dry_run(lab, TODAY), "the same day, the same bytes")


def test_the_mail_has_it_as_a_part_that_programs_know(lab):
    box = lab.folder("box")
    broker = lab.broker({"lab": pickup_profile(box, pickup_dialect="plain")})
    lab.worker(broker, roots=[box])
    done = lab.tpn(broker, "alert", "--items", table(lab), "--today", TODAY, "--profile", "lab", "--from", SENDER, "--calendar", "--wait")
    check_equal(done.returncode, 0, f"exit status; said {done.stdout}{done.stderr}")
    [file] = box.glob("*.eml")
    mail = parse_mail(file.read_bytes())
    check_equal(mail.get_content_type(), "multipart/alternative", "structure")
    check_equal([part.get_content_type() for part in mail.iter_parts()], ["text/plain", "text/html", "text/calendar"], "parts, the best last")
    [part] = [part for part in mail.iter_parts() if part.get_content_type() == "text/calendar"]
    check_equal(part["Content-Type"].params["method"], "PUBLISH", "method (RFC 6047 2.4)")
    check_equal(len(icalendar.Calendar.from_ical(part.get_payload(decode=True)).walk("VEVENT")), 5, "events: those past due")


def test_too_many_items_go_without(lab):
    lab.none = NoBroker()
    path = lab.dir / "many.csv"
    rows = "".join(f"A-{n},Scale,Hall,Active,2026-11-20,,Ana,ana@lab.test\n" for n in range(4000))
    path.write_text("Asset ID,Description,Location,Status,Due Date,Date Done,Custodian,Custodian Email\n" + rows, encoding="utf-8")
    done = lab.tpn(lab.none, "alert", "--items", path, "--today", TODAY, "--from", SENDER, "--calendar", "--dry-run", "--json")
    check_equal(done.returncode, 0, "exit status")
    check("too many items for a calendar" in done.stderr, f"said {done.stderr}")
    check("calendar" not in json.loads(done.stdout), "no half calendar")


run(globals())
