"""What the producers of the checker submit: request N of a producer follows from the seed, so that the producer after a
kill, and the verdict at the end, make the same one again without having kept it."""
import dataclasses
import random

PROFILES = {"hold": 40, "marked": 20, "assume": 10, "single": 10, "pickup": 20}  # name: share
BIG_LINES = 4000
FORGED = "forged"  # in the subject of a content that must be refused: another request has its id


@dataclasses.dataclass
class Spec:
    """A request, without what protobuf makes of it."""
    id: str
    profile: str
    to: list
    one_each: bool
    priority: int
    not_before_ms: int
    expire_at_ms: int
    lines: int

    @property
    def tail(self):
        """The last line of its text: it is there only when the mail is whole."""
        return f"end of {self.id}"


def address_of(dice, request_id, index):
    kind = dice.choices(("ok", "no", "grey"), (90, 4, 6))[0]
    return f"{kind}-{index}-{request_id}@{dice.choice(('e', 'f'))}.test"


def spec_of(seed, producer, number, base_ms):
    """Request `number` of a producer; base_ms is the wall time at which it was first thought of."""
    dice = random.Random(f"{seed}/{producer}/{number}")
    request_id = f"{producer}-{number}"
    profile = dice.choices(list(PROFILES), list(PROFILES.values()))[0]
    count = dice.choices((1, dice.randint(2, 4), dice.randint(6, 12)), (65, 28, 7))[0]
    to = [address_of(dice, request_id, index) for index in range(count)]
    later_ms = dice.randint(500, 4000)
    waits = dice.random() < 0.05
    ends = dice.random() < 0.05
    return Spec(id=request_id, profile=profile, to=to, one_each=count > 1 and dice.random() < 0.4,
                priority=dice.choices((0, 1, 2, 3), (50, 15, 15, 20))[0],
                not_before_ms=base_ms + later_ms if waits else 0,
                expire_at_ms=base_ms + 2 * later_ms if ends else 0,
                lines=BIG_LINES if dice.random() < 0.02 else dice.randint(1, 30))


def request_of(pb, spec, forged=False):
    """The NotificationRequest; forged: the same id with another content."""
    text = [f"Line {number} of the list of due items.\n" for number in range(spec.lines)]
    text[::7] = [f".{line}" for line in text[::7]]  # a dot in front is what SMTP doubles
    message = pb.Message(subject=f"{FORGED if forged else 'Due'} {spec.id}", text="".join(text) + spec.tail + "\n")
    getattr(message, "from").address = "trackpro@example.test"
    for address in spec.to:
        message.to.add(address=address)
    return pb.NotificationRequest(
        id=spec.id, profile=spec.profile, message=message, split=2 if spec.one_each else 0, priority=spec.priority,
        not_before_ms=spec.not_before_ms, expire_at_ms=spec.expire_at_ms)
