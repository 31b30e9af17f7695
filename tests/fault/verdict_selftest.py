"""The verdict finds what it is there for: each row spoils a sound run in one way, and names the finding that must come."""
import copy
import sys

from fault_requests import Spec
from fault_verdict import Event, Mail, Row, judge


def spec(request_id, to, profile="hold", one_each=False, key="", labels=()):
    return Spec(request_id, profile, to, one_each, 0, 0, 0, 1, key, labels)


def numbered(first, events):
    """Events with their place in the order of all."""
    for number, event in enumerate(events):
        event.at = (1, first + number)
    return events


def story(*states, unknown=(), reasons=None, refused=()):
    return [Event(state, (reasons or {}).get(state, ""), unknown if state == "UNKNOWN" else (),
                  refused if state == "FAILED" else ()) for state in states]


def mail(request_id, *to, dup=False, mid="<1@test>", tail=None):
    return Mail(request_id, mid, list(to), dup, tail or f"end of {request_id}\r\n")


SENT = ("ACCEPTED", "LEASED", "PERMITTED", "SENT")
RESENT = ("ACCEPTED", "LEASED", "PERMITTED", "UNKNOWN", "DEFERRED", "LEASED", "PERMITTED", "SENT")


def amended():
    """Held, released, edited, sent."""
    history = story("ACCEPTED", "ACCEPTED", "ACCEPTED", *SENT)
    for event, word in zip(history, ("", "held by checker", "released by checker", "edited by checker")):
        event.reason = word
    history[1].held = True
    history[3].edited = ("ok-0-p-10@edited.test",)
    return history


def sound():
    """A run without a finding: specs, receipts, rows, mails."""
    specs = {s.id: s for s in (
        spec("p-1", ["ann"]), spec("p-2", ["ann", "no"]), spec("p-3", ["ann"], "marked"), spec("p-4", ["ann"]),
        spec("p-5", ["ann"], "assume"), spec("p-6", ["ann"]), spec("p-7", ["ann"], "pickup"),
        spec("p-8", ["ann"], key="asset 1"), spec("p-9", ["ann"], key="asset 1", labels=("asset=1",)),
        spec("p-10", ["ok-0-p-10@e.test", "bob"]))}
    receipts = {name: "ACCEPTED" for name in specs} | {"p-2": "DUPLICATE"}
    rows = {
        "p-1": Row("SENT", {"ann": "DELIVERED"}, story(*SENT)),
        "p-2": Row("FAILED", {"ann": "DELIVERED", "no": "REFUSED"},
                   story("ACCEPTED", "LEASED", "PERMITTED", "FAILED", refused=("no",))),
        "p-3": Row("SENT", {"ann": "DELIVERED"}, story(*RESENT, unknown=("ann",))),
        "p-4": Row("UNKNOWN", {"ann": "UNKNOWN"}, story("ACCEPTED", "LEASED", "PERMITTED", "UNKNOWN", unknown=("ann",))),
        "p-5": Row("SENT", {"ann": "DELIVERED"}, story("ACCEPTED", "LEASED", "PERMITTED", "UNKNOWN", "SENT",
                                                     unknown=("ann",), reasons={"SENT": "assumed sent (…)"})),
        "p-6": Row("CANCELLED", {"ann": "REFUSED"}, story("ACCEPTED", "CANCELLED")),
        "p-7": Row("HANDED_OFF", {"ann": "DELIVERED"}, story("ACCEPTED", "LEASED", "PERMITTED", "HANDED_OFF")),
        "p-8": Row("CANCELLED", {"ann": "REFUSED"}, numbered(10, story("ACCEPTED", "CANCELLED", reasons={"CANCELLED": "superseded by p-9"}))),
        "p-9": Row("SENT", {"ann": "DELIVERED"}, numbered(10, story("ACCEPTED", *SENT))[1:], labels=("asset=1",)),
        "p-10": Row("SENT", {"ok-0-p-10@edited.test": "DELIVERED", "bob": "DELIVERED"}, amended(), profile="single"),
    }
    rows["p-8"].history[1].at = (1, 12)
    mails = [mail("p-1", "ann"), mail("p-2", "ann"), mail("p-3", "ann"), mail("p-3", "ann", dup=True),
             mail("p-4", "ann"), mail("p-7", "ann"), mail("p-9", "ann"), mail("p-10", "ok-0-p-10@edited.test", "bob")]
    return specs, receipts, rows, mails


def without_row(_specs, _receipts, rows, _mails):
    del rows["p-6"]


def without_mail(_specs, _receipts, _rows, mails):
    del mails[0]


def forged_duplicate(_specs, _receipts, _rows, mails):
    mails.append(mail("p-1", "ann"))


def forged_marked_duplicate(_specs, _receipts, _rows, mails):
    mails.append(mail("p-1", "ann", dup=True))


def unmarked_resend(_specs, _receipts, _rows, mails):
    mails[3].dup = False


def third_mail(_specs, _receipts, _rows, mails):
    mails.append(mail("p-3", "ann", dup=True))


def cancelled_and_there(_specs, _receipts, _rows, mails):
    mails.append(mail("p-6", "ann"))


def refused_and_there(_specs, _receipts, _rows, mails):
    mails[1].rcpt.append("no")


def stranger(_specs, _receipts, _rows, mails):
    mails.append(mail("p-99", "ann"))


def forged_content(_specs, _receipts, _rows, mails):
    mails.append(Mail("p-1", "<1@test>", ["ann"], False, "", known=False))


def third_person(_specs, _receipts, _rows, mails):
    mails[0].rcpt.append("eve")


def cut_off(_specs, _receipts, _rows, mails):
    mails[0].tail = "Line 3 of the"


def other_message_id(_specs, _receipts, _rows, mails):
    mails[3].mid = "<2@test>"


def row_of_nobody(_specs, _receipts, rows, _mails):
    rows["p-98"] = copy.deepcopy(rows["p-6"])


def never_ends(_specs, _receipts, rows, _mails):
    rows["p-1"].state = "PERMITTED"


def wrong_fold(_specs, _receipts, rows, _mails):
    rows["p-2"].state = "SENT"


def impossible_move(_specs, _receipts, rows, _mails):
    rows["p-1"].history.insert(1, Event("SENT"))


def pickup_unknown(_specs, _receipts, rows, _mails):
    rows["p-7"] = Row("UNKNOWN", {"ann": "UNKNOWN"}, story("ACCEPTED", "LEASED", "PERMITTED", "UNKNOWN", unknown=("ann",)))


def sent_though_superseded(_specs, _receipts, rows, mails):
    rows["p-8"] = Row("SENT", {"ann": "DELIVERED"}, numbered(10, story(*SENT)))
    rows["p-8"].history[1].at = (1, 14)
    mails.append(mail("p-8", "ann"))


def superseded_and_there(_specs, _receipts, _rows, mails):
    mails.append(mail("p-8", "ann"))


def superseded_by_a_stranger(specs, _receipts, _rows, _mails):
    specs["p-9"].supersede_key = "asset 2"


def leased_while_held(_specs, _receipts, rows, _mails):
    del rows["p-10"].history[2:4]


def never_released(_specs, _receipts, rows, _mails):
    rows["p-6"].held = True


def lost_label(_specs, _receipts, rows, _mails):
    rows["p-9"].labels = ()


def edited_by_nobody(_specs, _receipts, rows, _mails):
    rows["p-10"].history[3].reason = ""


def put_out_and_there(_specs, _receipts, _rows, mails):
    mails.append(mail("p-10", "ok-0-p-10@e.test"))


def put_in_and_out_and_there(_specs, _receipts, rows, mails):
    rows["p-10"].history[3].edited += ("eve@edited.test",)
    mails.append(mail("p-10", "eve@edited.test"))


def other_profile(_specs, _receipts, rows, _mails):
    rows["p-10"].profile = "marked"


def no_receipt(_specs, receipts, _rows, _mails):
    del receipts["p-1"]


def refused_receipt(_specs, receipts, _rows, _mails):
    receipts["p-1"] = "REJECTED"


def came_too_late_twice(specs, receipts, _rows, _mails):
    specs["p-1"].expire_at_ms = 1
    receipts["p-1"] = "REJECTED"


def missing_recipient(_specs, _receipts, rows, _mails):
    del rows["p-2"].recipients["no"]


WANTED = {
    without_row: "LOST p-6", without_mail: "LOST p-1 to ann", forged_duplicate: "DOUBLED SILENTLY p-1",
    forged_marked_duplicate: "DOUBLED p-1", unmarked_resend: "DOUBLED SILENTLY p-3", third_mail: "DOUBLED p-3",
    cancelled_and_there: "HIDDEN p-6", refused_and_there: "HIDDEN p-2 to no", stranger: "UNASKED: a mail",
    forged_content: "UNASKED: a mail", third_person: "who is no recipient", cut_off: "MANGLED p-1",
    other_message_id: "Message-IDs differ", row_of_nobody: "UNASKED p-98", never_ends: "STUCK p-1",
    wrong_fold: "p-2: state SENT", impossible_move: "goes from ACCEPTED to SENT",
    pickup_unknown: "could be looked into", no_receipt: "without a receipt", refused_receipt: "got the receipt REJECTED",
    sent_though_superseded: "SUPERSEDED p-8", superseded_and_there: "HIDDEN p-8", superseded_by_a_stranger: "no newer request of its key",
    leased_while_held: "HELD p-10", never_released: "HELD p-6", lost_label: "p-9: its labels are",
    edited_by_nobody: "p-10: its recipients are", put_out_and_there: "HIDDEN p-10", put_in_and_out_and_there: "HIDDEN p-10 to eve",
    other_profile: "p-10: its profile is marked",
    came_too_late_twice: "HIDDEN p-1: REJECTED",
    missing_recipient: "p-2: its recipients are",
}


def main():
    failed = judge(*sound()).findings
    for finding in failed:
        print(f"not ok - a sound run: {finding}")
    for spoil, wanted in WANTED.items():
        run = sound()
        spoil(*run)
        found = judge(*run).findings
        good = any(wanted in finding for finding in found)
        print(f"{'ok' if good else 'not ok'} - {spoil.__name__}: {found}")
        failed += [] if good else [spoil.__name__]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
