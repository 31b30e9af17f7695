"""An operator who picks requests by chance and does something to them. No answer, because the broker is away, is no answer:
the act may have been done, and the verdict goes by the history of each request."""
import contextlib
import random

import tpn_wire
from fault_producer import read_journal
from fault_requests import edited_address, edited_profile, spec_of

RECENT = 300  # of a producer's requests
AT_ONCE = 20
ACTS = 4      # of one visit
ANSWER_MS = 300
WHO = "checker"
OPERATIONS = {"CANCEL": 3, "RETRY": 2, "REDRIVE": 2, "RESOLVE_SENT": 1, "RESOLVE_RESEND": 2, "HOLD": 4, "RELEASE": 2, "EDIT": 6}
EDITABLE = ("ACCEPTED", "DEFERRED", "FAILED", "EXPIRED", "CANCELLED", "UNKNOWN")


class Operator:
    """The acts of a run."""

    def __init__(self, lab, broker, seed):
        self.lab = lab
        self.broker = broker
        self.seed = seed

    def visit(self, chance, producers):
        """A few acts. Returns how many requests something was done to."""
        dice = random.Random(chance)
        done = 0
        for _ in range(ACTS):
            operation = dice.choices(list(OPERATIONS), list(OPERATIONS.values()))[0]
            name = dice.choice(producers)
            bases = {f"{name}-{number}": (number, int(rest)) for word, number, rest in read_journal(self.lab.dir / f"{name}.journal")
                     if word == "S"}
            if operation == "EDIT":
                done += self.edit_some(dice, name, bases)
            elif dice.random() < 0.7:  # those that it is for
                done += self.ask(operation, filter=self.lab.pb.QueueFilter(id_prefix=f"{name}-"),
                                 limit=dice.randint(1, AT_ONCE))
            elif bases:
                ids = list(bases)[-RECENT:]
                done += self.ask(operation, ids=dice.sample(ids, min(AT_ONCE, len(ids))))
        return done

    def edit_some(self, dice, name, bases):
        """A few of those that can be edited, each in its way; then they shall go on."""
        pb, done = self.lab.pb, 0
        question = pb.QueueList(limit=AT_ONCE, filter=pb.QueueFilter(id_prefix=f"{name}-", states=[
            pb.State.Value(f"STATE_{dice.choice(EDITABLE)}")]))
        with self.desk() as desk, contextlib.suppress(tpn_wire.NoAnswer):
            page = pb.QueuePage(next=1)
            while page.next and not page.requests:
                page = desk.answer([b"TPN1.QUEUE_LS", question.SerializeToString()], ANSWER_MS)[1]
                question.after = page.next
            for request in page.requests:
                if request.id in bases and dice.random() < 0.5:
                    edit = self.edit(dice, spec_of(self.seed, name, *bases[request.id]))
                    done += self.ask("EDIT", ids=[request.id], edit=edit)
                    if dice.random() < 0.7:
                        then = dice.choice(("RETRY", "RESOLVE_RESEND", "RESOLVE_SENT", "CANCEL"))
                        done += self.ask(then, ids=[request.id])
        return done

    def edit(self, dice, spec):
        """Another address for one recipient, the same address (refused), or another profile."""
        pb, index = self.lab.pb, dice.randrange(len(spec.to))
        profile = edited_profile(spec.profile)
        if profile and dice.random() < 0.3:
            return pb.RequestEdit(profile=profile)
        address = spec.to[index] if dice.random() < 0.2 else edited_address(spec.to[index])
        return pb.RequestEdit(recipients=[pb.AddressChange(index=index, address=address)])

    def release_all(self):
        """Everything that is held goes on. Returns how much it was."""
        return self.ask("RELEASE", timeout_ms=20000, filter=self.lab.pb.QueueFilter(held=True), limit=1000)

    def desk(self):
        return contextlib.closing(tpn_wire.Publisher(self.lab.pb, self.broker.endpoints["admin"]))

    def ask(self, operation, timeout_ms=ANSWER_MS, **fields):
        """Of a filter page by page: the broker looks at so many rows at a time."""
        body = self.lab.pb.QueueAct(operation=self.lab.pb.Operation.Value(f"OPERATION_{operation}"), reason="by chance", **fields)
        setattr(body, "operator", WHO)
        done = 0
        with self.desk() as desk, contextlib.suppress(tpn_wire.NoAnswer):
            while True:
                reply = desk.answer([b"TPN1.QUEUE_ACT", body.SerializeToString()], timeout_ms)[1]
                done += sum(result.done for result in reply.results)
                body.after = reply.next
                if not reply.next or (reply.results and operation != "RELEASE"):
                    break
        return done
