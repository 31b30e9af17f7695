"""The rows of the comparisons: sides, and goals that are told as met or missed.

A family (bench_NAME.py) has a tuple COMPARISONS; compare.py runs them all. A goal never fails a run: times are told."""
import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a side needs to know."""
    messages: int
    kept: str = ""                               # a folder that lives until the last run of the row


@dataclasses.dataclass(frozen=True)
class Side:
    title: str
    run: object                                  # function(Setup) -> Result
    key: str = ""                                # how goals name it; default: the title
    share: float = 1.0                           # of the row's messages: a slow side gets fewer
    peer: object = None                          # function() -> why it cannot run here, or ""; see --no-peers

    def name(self):
        return self.key or self.title


@dataclasses.dataclass(frozen=True)
class Goal:
    """A figure of one side, or its ratio to that of another side in the same round; the median of the rounds counts."""
    title: str
    side: str                                    # its key
    figure: object                               # of Result.figures, or function(Result) -> number
    against: str = ""                            # key of the other side; "": the figure itself
    at_least: float = None
    at_most: float = None

    def values(self, results):
        """One a round, from {key of the side: [Result of each round]}; none when a side was left out."""
        if self.side not in results or (self.against and self.against not in results):
            return []
        own = [value_of(result, self.figure) for result in results[self.side]]
        if not self.against:
            return own
        return [one / value_of(other, self.figure) for one, other in zip(own, results[self.against])]

    def bound(self):
        sign, value = ("≥", self.at_least) if self.at_least is not None else ("≤", self.at_most)
        return f"{sign} {value:,g}{' ×' if self.against else ''}"

    def met(self, values):
        middle = statistics.median(values)
        return middle >= self.at_least if self.at_least is not None else middle <= self.at_most


@dataclasses.dataclass(frozen=True)
class Comparison:
    name: str                                    # on the command line; rows may share one
    title: str
    messages: int
    quick_messages: int
    sides: tuple
    proof: object = None                         # function(Setup): untimed, before the rounds
    goals: tuple = ()

    def heading(self):
        return f"{self.name}: {self.title}"


def value_of(result, figure):
    return figure(result) if callable(figure) else result.figures[figure]


def cpu_of(*processes):
    """A figure: µs of CPU a message, user and system, of these processes together."""
    return lambda result: sum(sum(result.cpu[name]) for name in processes)
