"""load: how long a message takes while others go through, at rates below the peak that the same round has measured.

Open loop: messages become due at a fixed rate, and their time counts from when they were due, so that waiting for a
slow system is part of the time."""
from bench_meter import Meter, shown_on_failure, words_of
from bench_path import PRIME, WINDOW, Path, check_sink, sink_profile, times_of
from bench_row import Comparison, Goal, Side
from tpn_harness import Lab, check

CONNECTIONS = 50


class Load:
    """The sides of one row; the peak is that of the latest closed loop, which is the first side of each round."""

    def __init__(self):
        self.peak = 0.0

    def send(self, setup, rate):
        with Lab("bench") as lab, shown_on_failure(lab):
            sink = lab.smtp_sink()
            path = Path(lab, sink_profile(sink.port, CONNECTIONS))
            meter = Meter([*path.servers, sink])
            child = path.send("producer", setup.messages, WINDOW, rate)
            said = words_of(child.out)
            result = meter.finish(setup.messages, {"mails/s": said["rate"], **times_of(said)}, child)
            if rate:  # slower is a finding, faster is no open loop
                check(said["rate"] <= rate * 1.02, f"no result: {said['rate']:.0f}/s, though {rate:.0f}/s were due")
            path.stop()
            check_sink(sink, setup.messages + PRIME)
            return result

    def closed(self, setup):
        result = self.send(setup, None)
        self.peak = result.figures["mails/s"]
        return result

    def open(self, part):
        """A side: so many messages that it takes as long as the peak did, when its share is the part."""
        return Side(f"{part:.0%} of that, whatever comes back", lambda setup: self.send(setup, part * self.peak),
                    f"{part:.0%}", part)


LOAD = Load()
COMPARISONS = (
    Comparison("load", f"at a fixed rate into smtp-sink, {CONNECTIONS} connections", 40000, 1000,
               (Side(f"peak: {WINDOW} under way", LOAD.closed), LOAD.open(0.2), LOAD.open(0.5), LOAD.open(0.8)),
               goals=(Goal("at 50 % of the peak rate: status p50, ms", "50%", "final p50, ms", at_most=2),
                      Goal("at 50 % of the peak rate: status p99, ms", "50%", "final p99, ms", at_most=15))),
)
