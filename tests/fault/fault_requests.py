"""What the producers of the checker submit: request N of a producer follows from the seed, so that the producer after a
kill, and the verdict at the end, make the same one again without having kept it."""
import dataclasses
import random

PROFILES = {"hold": 34, "marked": 18, "assume": 10, "single": 8, "pickup": 20, "pair": 10}  # name: share
SUBJECTS_OF_KEYS = 6  # a producer: so few that requests of one key meet while they wait
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
    supersede_key: str = ""
    labels: tuple = ()  # name=value

    @property
    def tail(self):
        """The last line of its text: it is there only when the mail is whole."""
        return f"end of {self.id}"


def address_of(dice, request_id, index):
    kind = dice.choices(("ok", "no", "grey"), (90, 4, 6))[0]
    return f"{kind}-{index}-{request_id}@{dice.choice(('e', 'f'))}.test"


def edited_address(address):
    """What an operator makes of an address of spec_of: another one, which the servers take."""
    return f"ok-{address.partition('-')[2].partition('@')[0]}@edited.test"


def edited_profile(profile):
    """The profile that an operator may give a request of this one, or None: the same server, another way to talk to it."""
    return {"hold": "single", "single": "hold"}.get(profile)


def spec_of(seed, producer, number, base_ms):
    """Request `number` of a producer; base_ms is the wall time at which it was first thought of."""
    dice = random.Random(f"{seed}/{producer}/{number}")
    request_id = f"{producer}-{number}"
    profile = dice.choices(list(PROFILES), list(PROFILES.values()))[0]
    count = dice.choices((1, dice.randint(2, 4), dice.randint(6, 12)), (65, 28, 7))[0]
    to = [address_of(dice, request_id, index) for index in range(count)]
    later_ms = dice.randint(500, 4000)
    waits = dice.random() < 0.1
    ends = dice.random() < 0.05
    return Spec(id=request_id, profile=profile, to=to, one_each=count > 1 and dice.random() < 0.4,
                priority=dice.choices((0, 1, 2, 3), (50, 15, 15, 20))[0],
                not_before_ms=base_ms + later_ms if waits else 0,
                expire_at_ms=base_ms + 2 * later_ms if ends else 0,
                lines=BIG_LINES if dice.random() < 0.02 else dice.randint(1, 30),
                supersede_key=f"asset {dice.randrange(SUBJECTS_OF_KEYS)}: due" if dice.random() < 0.12 else "",
                labels=(f"asset={number % 50}", "department=lab") if dice.random() < 0.3 else ())


def request_of(pb, spec, forged=False):
    """The NotificationRequest; forged: the same id with another content."""
    text = [f"Line {number} of the list of due items.\n" for number in range(spec.lines)]
    text[::7] = [f".{line}" for line in text[::7]]  # a dot in front is what SMTP doubles
    message = pb.Message(subject=f"{FORGED if forged else 'Due'} {spec.id}", text="".join(text) + spec.tail + "\n")
    getattr(message, "from").address = "trackpro@example.test"
    for address in spec.to:
        message.to.add(address=address)
    labels = [pb.Label(name=name, value=value) for name, _, value in (label.partition("=") for label in spec.labels)]
    return pb.NotificationRequest(
        id=spec.id, profile=spec.profile, message=message, split=2 if spec.one_each else 0, priority=spec.priority,
        not_before_ms=spec.not_before_ms, expire_at_ms=spec.expire_at_ms, supersede_key=spec.supersede_key, labels=labels)
