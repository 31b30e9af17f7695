"""The faults of a run, made of its seed alone: a list of Steps in the order of their time.

A step is done to one thing at a time: what is killed, stopped or leaving is left alone until it is back. So the same
seed, length and cast give the same plan; what the machine makes of it is its own affair."""
import dataclasses
import random

import fault_sink

STEP_S = 1.1  # mean time between two steps
QUIET_S = 3.0  # at the start
CLOCK_STEP_MS = 20000

# action: (share, kinds of process it is for, shortest and longest time until it is undone)
ACTIONS = {
    "kill worker": (14, ("worker",), 0.0, 1.5),
    "kill broker": (8, ("broker",), 0.0, 1.5),
    "kill producer": (4, ("producer",), 0.0, 1.0),
    "kill sink": (3, ("sink",), 0.0, 2.0),
    "kill all": (2, ("broker", "worker"), 0.0, 0.5),
    "stop worker": (10, ("worker",), 0.2, 9.0),
    "stop broker": (5, ("broker",), 0.2, 6.0),
    "stop producer": (2, ("producer",), 0.2, 4.0),
    "stop sink": (4, ("sink",), 0.2, 5.0),
    "end worker": (4, ("worker",), 0.0, 1.0),
    "end broker": (3, ("broker",), 0.0, 1.0),
    "fault": (26, ("sink",), 0.5, 4.0),
    "clock": (7, ("broker", "worker"), 0.0, 0.0),
    "operate": (20, (), 0.0, 0.0),
    "second broker": (1, (), 0.0, 0.0),
}
@dataclasses.dataclass(frozen=True)
class Step:
    """At at_s do `action` to `target`, and undo it after for_s. detail: a fault and its chance, a clock's offset,
    numbers for an operator to choose by."""
    at_s: float
    action: str
    target: str
    for_s: float
    detail: tuple = ()

    def __str__(self):
        return f"{self.at_s:7.1f} s  {self.action} {self.target} {self.detail or ''} for {self.for_s:.1f} s"


def detail_of(dice, action):
    if action == "fault":
        return (dice.choice(fault_sink.FAULTS), dice.choice((0.1, 0.3, 1.0)))
    if action == "clock":
        return (dice.randint(-CLOCK_STEP_MS, CLOCK_STEP_MS),)
    if action == "operate":
        return (dice.random(),)
    return ()


def make_plan(seed, length_s, cast, actions=None):
    """cast: {"broker": [names], "worker": […], "producer": […], "sink": […]}. actions: only these, for targeted runs."""
    dice = random.Random(f"plan/{seed}")
    names = [action for action in ACTIONS if actions is None or action in actions]
    shares = [ACTIONS[action][0] for action in names]
    free_at = {name: 0.0 for group in cast.values() for name in group}
    steps = []
    at_s = QUIET_S
    while True:
        at_s += dice.expovariate(1 / STEP_S)
        if at_s >= length_s:
            return steps
        action = dice.choices(names, shares)[0]
        _, kinds, shortest, longest = ACTIONS[action]
        # Most are short: squared. All draws are made, whether the step is taken or not.
        for_s = shortest + (longest - shortest) * dice.random() ** 2
        detail = detail_of(dice, action)
        everybody = [name for kind in kinds for name in cast[kind]]
        target = dice.choice(everybody) if everybody else ""
        touched = everybody if action == "kill all" else [target] if target else []
        if action == "fault":
            touched = [f"fault {target}"]
        if any(free_at.get(name, 0.0) > at_s for name in touched):
            continue
        for name in touched:
            free_at[name] = at_s + for_s + 0.5
        steps.append(Step(at_s, action, "" if action == "kill all" else target, for_s, detail))
