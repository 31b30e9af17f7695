"""The verdict: what producers were told, what stands in the store, and what arrived, held against each other.

Knows no process and no socket: judge() takes plain data and returns the findings, so that verdict_selftest.py can feed
it a lost request, a forged duplicate, and so on, and see that each is found."""
import collections
import dataclasses

SETTLED = ("SENT", "HANDED_OFF", "FAILED", "EXPIRED", "CANCELLED", "UNKNOWN")
DEAD = ("FAILED", "EXPIRED", "CANCELLED")
# Said in the history when somebody, not a server, decided that a mail had arrived.
BELIEVED = ("assumed sent", "resolved as sent")
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


@dataclasses.dataclass
class Row:
    """One request as the broker tells it."""
    state: str
    recipients: dict  # address -> outcome
    history: list = dataclasses.field(default_factory=list)


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

    def add(self, text):
        self.findings.append(text)


def check_fold(request_id, row, verdict):
    """The state is what the outcomes of the recipients come to."""
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
    if any(mail.dup for mail in mails) and not passes:
        verdict.add(f"MARKED {what}: marked as a possible duplicate without a reason")


def check_request(spec, row, mails, verdict):
    if row.state not in SETTLED:
        verdict.add(f"STUCK {spec.id}: {row.state} at the end")
        return
    check_fold(spec.id, row, verdict)
    check_history(spec.id, row, verdict)
    if sorted(row.recipients) != sorted(spec.to):
        verdict.add(f"{spec.id}: its recipients are {sorted(row.recipients)}, submitted were {sorted(spec.to)}")
        return
    if any(event.unknown for event in row.history):
        verdict.passed_unknown += 1
    if spec.profile == "pickup" and row.state == "UNKNOWN":
        verdict.add(f"{spec.id}: UNKNOWN, although its folder could be looked into")
    by_person = collections.defaultdict(list)
    ids = collections.defaultdict(set)
    for mail in mails:
        verdict.marked += mail.dup
        if spec.tail not in mail.tail:
            verdict.add(f"MANGLED {spec.id}: a mail ends in {mail.tail!r}")
        for address in mail.rcpt:
            by_person[address].append(mail)
            ids[address if spec.one_each else ""].add(mail.mid)
            if address not in spec.to:
                verdict.add(f"{spec.id}: a mail went to {address}, who is no recipient")
    for address, mids in ids.items():
        if len(mids) > 1:
            verdict.add(f"{spec.id} {address}: Message-IDs differ: {sorted(mids)}")
    for address in spec.to:
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
    check_sum(len(rows), verdict)
    return verdict


def check_sum(rows, verdict):
    """accepted = delivered + refused, expired, cancelled + unknown."""
    parts = verdict.states
    total = parts["SENT"] + parts["HANDED_OFF"] + parts["UNKNOWN"] + sum(parts[state] for state in DEAD)
    if total != rows:
        verdict.add(f"SUM: {rows} accepted, but {dict(parts)}")
