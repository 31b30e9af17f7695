"""The verdict: what producers were told, what stands in the store, and what arrived, held against each other.

Knows no process and no socket: judge() takes plain data and returns the findings, so that verdict_selftest.py can feed
it a lost request, a forged duplicate, and so on, and see that each is found."""
import collections
import dataclasses

from fault_requests import edited_address, edited_profile

SETTLED = ("SENT", "HANDED_OFF", "FAILED", "EXPIRED", "CANCELLED", "UNKNOWN")
DEAD = ("FAILED", "EXPIRED", "CANCELLED")
# Said in the history when somebody, not a server, decided that a mail had arrived.
BELIEVED = ("assumed sent", "resolved as sent")
WAITING = ("ACCEPTED", "LEASED", "DEFERRED")  # nothing of it is on its way: a newer request of its key takes its place
# Which state may follow which: ARCHITECTURE.md "Life of a request", written down once more on purpose.
MOVES = {
    "": {"ACCEPTED"},
    "ACCEPTED": {"LEASED", "EXPIRED", "CANCELLED", "FAILED"},
    "LEASED": {"ACCEPTED", "PERMITTED", "DEFERRED", "FAILED", "SENT", "HANDED_OFF", "UNKNOWN", "CANCELLED"},
    "PERMITTED": {"PERMITTED", "ACCEPTED", "SENT", "HANDED_OFF", "FAILED", "DEFERRED", "UNKNOWN"},
    "DEFERRED": {"LEASED", "EXPIRED", "CANCELLED", "FAILED", "ACCEPTED", "UNKNOWN"},
    "UNKNOWN": {"SENT", "HANDED_OFF", "FAILED", "ACCEPTED", "CANCELLED", "DEFERRED"},
    "FAILED": {"ACCEPTED"}, "EXPIRED": {"ACCEPTED"}, "CANCELLED": {"ACCEPTED"},
    "SENT": set(), "HANDED_OFF": set(),
}


@dataclasses.dataclass
class Event:
    """One entry of a request's history."""
    state: str
    reason: str = ""
    unknown: tuple = ()  # addresses that it says UNKNOWN of
    refused: tuple = ()  # addresses that a server refused
    at: tuple = (0, 0)   # epoch and sequence: the order of all events
    edited: tuple = ()   # addresses that an operator put in
    held: bool = False   # it says that an operator holds the request


@dataclasses.dataclass
class Row:
    """One request as the broker tells it."""
    state: str
    recipients: dict  # address -> outcome; MARKED: PENDING, and it may have the mail from before an edit
    history: list = dataclasses.field(default_factory=list)
    profile: str = ""  # empty: as it was submitted
    labels: tuple = ()
    held: bool = False


@dataclasses.dataclass
class Mail:
    """One mail in somebody's mailbox."""
    id: str      # of the request, from its subject
    mid: str
    rcpt: list
    dup: bool    # carries the mark
    tail: str
    known: bool = True  # False: of no request that was ever submitted (forged or mangled)


@dataclasses.dataclass
class Verdict:
    """Findings, each a line, and what was counted."""
    findings: list = dataclasses.field(default_factory=list)
    states: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    recipients: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    marked: int = 0   # mails that carry the mark
    doubled: int = 0  # recipients with more than one mail, each allowed
    passed_unknown: int = 0  # requests
    superseded: int = 0
    held: int = 0
    edited: int = 0
    failed_over: int = 0

    def add(self, text):
        self.findings.append(text)


def check_fold(request_id, row, verdict):
    """The state is what the outcomes of the recipients come to."""
    edited = {address for event in row.history for address in event.edited}
    # Whom an operator put in stays PENDING until somebody says that the request shall go on.
    if row.state in ("FAILED", "EXPIRED", "CANCELLED", "UNKNOWN") and any(row.recipients.get(address) in ("PENDING", "MARKED") for address in edited):
        return
    outcomes = set(row.recipients.values())
    good = {"SENT": outcomes == {"DELIVERED"}, "HANDED_OFF": outcomes == {"DELIVERED"},
            "FAILED": "REFUSED" in outcomes and outcomes <= {"REFUSED", "DELIVERED"},
            "EXPIRED": bool(outcomes & {"REFUSED", "UNKNOWN"}) and outcomes <= {"REFUSED", "DELIVERED", "UNKNOWN"},
            "CANCELLED": bool(outcomes & {"REFUSED", "UNKNOWN"}) and outcomes <= {"REFUSED", "DELIVERED", "UNKNOWN"},
            "UNKNOWN": "UNKNOWN" in outcomes and outcomes <= {"UNKNOWN", "DELIVERED", "REFUSED"}}
    if not good.get(row.state, False):
        verdict.add(f"{request_id}: state {row.state}, but its recipients are {sorted(outcomes)}")


def check_history(request_id, row, verdict):
    before = ""
    for event in row.history:
        if event.state != before and event.state not in MOVES[before]:
            verdict.add(f"{request_id}: its history goes from {before or 'nothing'} to {event.state}")
        before = event.state
    if before != row.state:
        verdict.add(f"{request_id}: its history ends in {before}, its state is {row.state}")


def check_hold(request_id, row, verdict):
    """Nobody gets it between a hold and its release; another end than that (cancelled, too late) ends the hold."""
    held = ""  # the state that it is held in
    for event in row.history:
        if event.reason.startswith("held by "):
            verdict.held += 1
            held = event.state
        elif held and event.state in ("LEASED", "PERMITTED"):
            verdict.add(f"HELD {request_id}: {event.state} while an operator holds it")
            return
        elif event.reason.startswith("released by ") or event.state != held:
            held = ""
    if held or row.held:
        verdict.add(f"HELD {request_id}: {row.state} and held at the end, when everything was released")


def check_superseded(specs, rows, verdict):
    """What waited when a newer request of its producer and key was accepted was withdrawn by it; nothing else was."""
    families = collections.defaultdict(list)
    for request_id, row in rows.items():
        spec = specs.get(request_id)
        if spec and spec.supersede_key and row.history:
            families[request_id.partition("-")[0], spec.supersede_key].append((row.history[0].at, request_id))
        for event in row.history:
            if event.state == "CANCELLED" and event.reason.startswith("superseded by "):
                verdict.superseded += 1
                newer = specs.get(event.reason.removeprefix("superseded by "))
                if not (spec and newer and spec.supersede_key and newer.supersede_key == spec.supersede_key
                        and newer.id in rows and rows[newer.id].history[0].at < event.at):
                    verdict.add(f"{request_id}: {event.reason}, which is no newer request of its key in the store")
    for family in families.values():
        family.sort()
        for place, (_, request_id) in enumerate(family):
            row = rows[request_id]
            for accepted, newer_id in family[place + 1:]:
                check_one_superseded(request_id, row, accepted, newer_id, verdict)
                if row.history[-1].at < accepted:
                    break  # nothing becomes of it any more


def check_one_superseded(request_id, row, accepted, newer_id, verdict):
    before = [event for event in row.history if event.at < accepted]
    after = [event for event in row.history if event.at > accepted]
    if before[-1].state not in WAITING:
        return
    # A leased one is taken back in the same batch.
    then = next((event for event in after if not event.reason.startswith("taken back")), None)
    if then is None or then.state != "CANCELLED" or then.reason != f"superseded by {newer_id}":
        verdict.add(f"SUPERSEDED {request_id}: {before[-1].state} when {newer_id} was accepted, then "
                    f"{then and then.state} ({then and then.reason})")


def check_names(spec, row, verdict):
    """Recipients, profile, labels: as submitted, or as an operator may have edited them. Returns who was put out."""
    out = []
    for address in spec.to:
        if address in row.recipients:
            continue
        if edited_address(address) not in row.recipients:
            verdict.add(f"{spec.id}: its recipients are {sorted(row.recipients)}, submitted were {sorted(spec.to)}")
            return None
        out.append(address)
    edited = any(event.reason.startswith("edited by ") for event in row.history)
    verdict.edited += edited
    if len(row.recipients) != len(spec.to) or (out and not edited):
        verdict.add(f"{spec.id}: its recipients are {sorted(row.recipients)}, submitted were {sorted(spec.to)}")
        return None
    if row.profile not in ("", spec.profile) and not (edited and row.profile == edited_profile(spec.profile)):
        verdict.add(f"{spec.id}: its profile is {row.profile}, submitted was {spec.profile}")
    if sorted(row.labels) != sorted(spec.labels):
        verdict.add(f"{spec.id}: its labels are {sorted(row.labels)}, submitted were {sorted(spec.labels)}")
    return out


def check_put_out(request_id, row, address, mails, verdict):
    """Who was replaced by an edit: not after a mail was delivered to them, but for one that nobody knew of."""
    passes = sum(address in event.unknown for event in row.history)
    if len(mails) > passes or sum(not mail.dup for mail in mails) > 1:
        verdict.add(f"HIDDEN {request_id} to {address}: put out by an edit, {len(mails)} mails, {passes} times unknown")


def check_recipient(request_id, row, address, mails, verdict):
    """One person: how often a mail came, and what is said of it."""
    outcome = row.recipients[address]
    passes = sum(address in event.unknown for event in row.history)
    believed = any(word in event.reason for event in row.history for word in BELIEVED)
    what = f"{request_id} to {address}: {outcome}, {len(mails)} mails, {passes} times unknown"
    verdict.recipients[outcome] += 1
    if outcome == "DELIVERED" and not mails and not (passes and believed):
        verdict.add(f"LOST {what}: said to be delivered and not there")
    refused = any(address in event.refused for event in row.history)
    if outcome in ("REFUSED", "PENDING") and mails and not (passes and refused):
        verdict.add(f"HIDDEN {what}: there, but said not to be")
    if len(mails) > 1 + passes:
        verdict.add(f"DOUBLED {what}")
    unmarked = sum(not mail.dup for mail in mails)  # a marked one may overtake the first on another connection
    if unmarked > 1:
        verdict.add(f"DOUBLED SILENTLY {what}: {unmarked} without the mark")
    elif len(mails) > 1:
        verdict.doubled += 1
    # The mark is that of a job: who shares it with a possible duplicate is marked, too.
    if any(mail.dup for mail in mails) and not any(event.unknown for event in row.history):
        verdict.add(f"MARKED {what}: marked as a possible duplicate without a reason")


def check_request(spec, row, mails, verdict):
    if row.state not in SETTLED:
        verdict.add(f"STUCK {spec.id}: {row.state} at the end")
        return
    check_fold(spec.id, row, verdict)
    check_history(spec.id, row, verdict)
    check_hold(spec.id, row, verdict)
    out = check_names(spec, row, verdict)
    if out is None:
        return
    if any(event.unknown for event in row.history):
        verdict.passed_unknown += 1
    verdict.failed_over += any(event.reason.startswith("by its failover profile ") for event in row.history)
    if spec.profile == "pickup" and row.state == "UNKNOWN":
        verdict.add(f"{spec.id}: UNKNOWN, although its folder could be looked into")
    put_in = {address for event in row.history for address in event.edited}
    by_person = collections.defaultdict(list)
    ids = collections.defaultdict(set)
    for mail in mails:
        verdict.marked += mail.dup
        if spec.tail not in mail.tail:
            verdict.add(f"MANGLED {spec.id}: a mail ends in {mail.tail!r}")
        for address in mail.rcpt:
            by_person[address].append(mail)
            ids[address if spec.one_each else ""].add(mail.mid)
            if address not in spec.to and address not in row.recipients and address not in put_in:
                verdict.add(f"{spec.id}: a mail went to {address}, who is no recipient")
    for address, mids in ids.items():
        if len(mids) > 1:
            verdict.add(f"{spec.id} {address}: Message-IDs differ: {sorted(mids)}")
    for address in sorted({*out, *put_in} - set(row.recipients)):
        check_put_out(spec.id, row, address, by_person[address], verdict)
    for address in row.recipients:
        check_recipient(spec.id, row, address, by_person[address], verdict)


def judge(specs, receipts, rows, mails, complete=True):
    """specs: {id: Spec} of everything a producer noted before it submitted. receipts: {id: status}. rows: {id: Row} of
    everything in the store. mails: [Mail] in the order of their arrival. complete: every producer ended by itself."""
    verdict = Verdict()
    by_request = collections.defaultdict(list)
    for mail in mails:
        if not mail.known or mail.id not in specs:
            verdict.add(f"UNASKED: a mail with subject of {mail.id!r} for {mail.rcpt}: nobody submitted it")
        else:
            by_request[mail.id].append(mail)
    for request_id in rows.keys() - specs.keys():
        verdict.add(f"UNASKED {request_id}: in the store, nobody submitted it")
    accepted = {request_id for request_id, status in receipts.items() if status in ("ACCEPTED", "DUPLICATE")}
    for request_id in sorted(receipts.keys() - accepted):
        status, spec = receipts[request_id], specs.get(request_id)
        if status != "REJECTED" or spec is None or not spec.expire_at_ms:
            verdict.add(f"{request_id}: a good request got the receipt {status}")
        elif request_id in rows:
            verdict.add(f"HIDDEN {request_id}: REJECTED, said its last receipt, and it is {rows[request_id].state}")
    for request_id in sorted(accepted - rows.keys()):
        verdict.add(f"LOST {request_id}: it has a receipt and no row")
    if complete:
        for request_id in sorted(specs.keys() - receipts.keys()):
            verdict.add(f"{request_id}: its producer ended without a receipt for it")
    for request_id in sorted(by_request.keys() - rows.keys()):
        verdict.add(f"{request_id}: a mail came, and the store does not know it")
    for request_id, row in rows.items():
        if request_id in specs:
            verdict.states[row.state] += 1
            check_request(specs[request_id], row, by_request[request_id], verdict)
    check_superseded(specs, rows, verdict)
    check_sum(len(rows), verdict)
    return verdict


def check_sum(rows, verdict):
    """accepted = delivered + refused, expired, cancelled + unknown."""
    parts = verdict.states
    total = parts["SENT"] + parts["HANDED_OFF"] + parts["UNKNOWN"] + sum(parts[state] for state in DEAD)
    if total != rows:
        verdict.add(f"SUM: {rows} accepted, but {dict(parts)}")
