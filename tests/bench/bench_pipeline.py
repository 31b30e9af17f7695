"""pipeline: the whole durable path, from publish to the final event; curve: the same with keys on every socket."""
import bench_relays
from bench_meter import Meter, shown_on_failure, words_of
from bench_path import (CONNECTIONS, PRIME, WINDOW, Path, check_identities, check_sink, engine, sink_profile,
                        smtp_source, times_of)
from bench_row import Comparison, Goal, Side, cpu_of
from tpn_harness import Lab

WIDE = 50  # connections, as many as smtp-source has


def durable(setup, keys=False, connections=CONNECTIONS):
    with Lab("bench") as lab, shown_on_failure(lab):
        sink = lab.smtp_sink()
        path = Path(lab, sink_profile(sink.port, connections), keys=keys)
        meter = Meter([*path.servers, sink])
        child = path.send("producer", setup.messages, WINDOW)
        said = words_of(child.out)
        result = meter.finish(setup.messages, {"mails/s": said["rate"], **times_of(said)}, child)
        path.stop()
        check_sink(sink, setup.messages + PRIME)
        return result


def durable_with_keys(setup):
    return durable(setup, keys=True)


def prove_durable(setup):
    """A count may hide one lost and one doubled: once, untimed, every mail by its Message-ID."""
    with Lab("bench") as lab, shown_on_failure(lab):
        sink = lab.sink()
        path = Path(lab, sink_profile(sink.port, WIDE))
        path.send("producer", setup.messages, WINDOW)
        path.stop()
        check_identities([mail["id"] for mail in sink.mails()], setup.messages + PRIME)


def durable_wide(setup):
    return durable(setup, connections=WIDE)


PEERS = (
    Side("Postfix as relay", bench_relays.postfix, "postfix", 0.06, bench_relays.postfix_missing),
    Side("Redis, fsync always + BullMQ + nodemailer pool", bench_relays.bullmq, "bullmq", 0.2,
         bench_relays.bullmq_missing),
    Side("Redis, fsync always + Celery + smtplib", bench_relays.celery, "celery", 0.06, bench_relays.celery_missing),
    Side("nodemailer pool alone, no queue", bench_relays.nodemailer, "nodemailer", 0.3, bench_relays.node_missing),
)


def goal(side, bound, title):
    return Goal(f"whole durable path against {title}", "ours", "mails/s", side, at_least=bound)


COMPARISONS = (
    Comparison("pipeline", f"into smtp-sink, {WIDE} connections", 40000, 1000,
               (Side(f"smtp-source -d -s {WIDE}", smtp_source(WIDE), "smtp-source"),
                Side("our engine alone", engine(WIDE)),
                Side(f"durable: producer, broker, worker; {WINDOW} under way", durable_wide, "ours"), *PEERS),
               prove_durable,
               (goal("smtp-source", 0.7, f"smtp-source -d -s {WIDE} without a queue"),
                goal("postfix", 20, "Postfix relay"), goal("bullmq", 10, "BullMQ + nodemailer, fsync always"),
                goal("celery", 20, "Celery, fsync always"), goal("nodemailer", 5, "nodemailer pool without a queue"),
                Goal("CPU a message, broker + worker, µs", "ours", cpu_of("broker", "worker"), at_most=60))),
    Comparison("curve", f"keys on every socket, or none; into smtp-sink, {CONNECTIONS} connections", 20000, 500,
               (Side(f"durable, plain; {WINDOW} under way", durable, "plain"),
                Side(f"durable, CURVE; {WINDOW} under way", durable_with_keys, "keys")),
               goals=(Goal("with CURVE on both hops against none", "keys", "mails/s", "plain", at_least=0.6),)),
)
