"""pipeline: the whole durable path, from publish to the final event; curve: the same with keys on every socket."""
from bench_meter import Meter, shown_on_failure, words_of
from bench_path import (CONNECTIONS, PRIME, WINDOW, Path, check_identities, check_sink, engine, sink_profile,
                        smtp_source)
from bench_row import Comparison, Side
from tpn_harness import Lab


def durable(setup, keys=False):
    with Lab("bench") as lab, shown_on_failure(lab):
        sink = lab.smtp_sink()
        path = Path(lab, sink_profile(sink.port), keys=keys)
        meter = Meter([*path.servers, sink])
        child = path.send("producer", setup.messages, WINDOW)
        result = meter.finish(setup.messages, {"mails/s": words_of(child.out)["rate"]}, child)
        path.stop()
        check_sink(sink, setup.messages + PRIME)
        return result


def durable_with_keys(setup):
    return durable(setup, keys=True)


def prove_durable(setup):
    """A count may hide one lost and one doubled: once, untimed, every mail by its Message-ID."""
    with Lab("bench") as lab, shown_on_failure(lab):
        sink = lab.sink()
        path = Path(lab, sink_profile(sink.port))
        path.send("producer", setup.messages, WINDOW)
        path.stop()
        check_identities([mail["id"] for mail in sink.mails()], setup.messages + PRIME)


COMPARISONS = (
    Comparison("pipeline", f"into smtp-sink, {CONNECTIONS} connections", 20000, 1000,
               (Side("smtp-source", smtp_source(CONNECTIONS)), Side("our engine alone", engine(CONNECTIONS)),
                Side(f"durable: producer, broker, worker; {WINDOW} under way", durable)), prove_durable),
    Comparison("curve", f"keys on every socket, or none; into smtp-sink, {CONNECTIONS} connections", 20000, 500,
               (Side(f"durable, plain; {WINDOW} under way", durable),
                Side(f"durable, CURVE; {WINDOW} under way", durable_with_keys))),
)
