"""smtp: our engine alone. Against smtp-source, straight into smtp-sink; then against itself with TLS, and against the clock of a server
that is far away."""
from bench_meter import Meter, bench_program, run_child, shown_on_failure, words_of
from bench_path import LARGE, PAYLOAD, SMTP_SOURCE, engine, smtp_source
from bench_row import Comparison, Goal, Side
from bench_sink import SENDER_CORE, start_sink
from tpn_harness import Lab

UNTIMED = 500  # mails on kept connections before the clock starts


def sender_cpu(result):
    """µs a mail of the program that sends."""
    return sum(sum(result.cpu[name]) for name in ("smtp-source", "engine") if name in result.cpu)


def smtp_row(connections, messages, size=PAYLOAD, recipients=1):
    goals = ()
    if size == PAYLOAD and recipients == 1:
        rate = Goal("mails/s, engine to smtp-source", "engine", "mails/s", "source", at_least=3 if connections == 1 else 1.8)
        cpu = Goal("CPU a mail, engine to smtp-source", "engine", sender_cpu, "source", at_most=0.5)
        goals = (rate,) if connections == 1 else (rate, cpu)
    title = (f"straight into smtp-sink, {connections} connection{'s' * (connections > 1)}, {size // 1024} KB, "
             f"{recipients} recipient{'s' * (recipients > 1)}")
    return Comparison("smtp", title, messages, 200,
                      (Side("smtp-source -d", smtp_source(connections, size, recipients), "source"),
                       Side("our engine alone", engine(connections, size, recipients), "engine")), goals=goals)


# --- Kept connections with TLS


def kept(connections, tls):
    """Into fast_sink; connecting is not timed."""
    def run(setup):
        with Lab("bench") as lab, shown_on_failure(lab):
            sink = start_sink(lab, tls=tls, pin=True)
            meter = Meter([sink])
            child = run_child(lab, "engine", [
                *SENDER_CORE, bench_program("smtp_engine_bench"), "-c", connections, "-n", setup.messages, "-u", UNTIMED,
                *(["-t", tls, "-a", sink.ca] if tls else []), f"127.0.0.1:{sink.port}"])
            said = words_of(child.out)
            result = meter.finish(said["delivered"], {"mails/s": said["per_second"]}, child)
            sink.check_mails(said["delivered"])
            return result
    return run


def tls_row(connections):
    goal = Goal("mails/s, STARTTLS to clear text", "starttls", "mails/s", "clear", at_least=0.8)
    return Comparison(
        "smtp", f"kept connections into a fast sink, {connections} of them, sender and sink each on a core", 60000, 500,
        (Side("our engine, clear text", kept(connections, ""), "clear"),
         Side("our engine, STARTTLS", kept(connections, "starttls"), "starttls"),
         Side("our engine, TLS from the start", kept(connections, "implicit"), "implicit")), goals=(goal,))


# --- A server that is far away


def far(connections, delay_ms, send):
    """mails/s beside what so many connections could do with one round trip a mail."""
    def run(setup):
        with Lab("bench") as lab, shown_on_failure(lab):
            sink = start_sink(lab, delay_ms=delay_ms)
            meter = Meter([sink])
            child, seconds, sent = send(lab, setup.messages, connections, sink.port)
            rate = setup.messages / seconds
            result = meter.finish(sent, {"mails/s": rate, "of connections / delay": rate * delay_ms / 1000 / connections},
                                  child)
            sink.check_mails(sent)
            return result
    return run


def far_engine(lab, messages, connections, port):
    """The clock starts when all connections stand: 64 are made at a time, in some round trips each."""
    untimed = connections * (30 if messages > connections else 2)
    child = run_child(lab, "engine", [bench_program("smtp_engine_bench"), "-c", connections, "-n", messages, "-u", untimed,
                                      f"127.0.0.1:{port}"])
    said = words_of(child.out)
    return child, said["seconds"], said["delivered"]


def far_source(lab, messages, connections, port):
    child = run_child(lab, "smtp-source", [
        SMTP_SOURCE, "-d", "-s", connections, "-m", messages, "-l", PAYLOAD, "-f", "a@example.org", "-t",
        "b@example.org", f"127.0.0.1:{port}"])
    return child, child.seconds, messages


def far_row(delay_ms):
    sides = [Side("smtp-source -d, 100 connections", far(100, delay_ms, far_source), "source", share=0.025)]
    sides += [Side(f"our engine, {connections} connections", far(connections, delay_ms, far_engine), f"{connections}",
                   share=connections / 1000) for connections in (100, 500, 1000)]
    # The table of goals names 50 ms; with 20 ms and 1,000 connections the ideal is above what two cores do without delay.
    goals = tuple(Goal(f"of connections / delay, {side.key} connections", side.key, "of connections / delay", at_least=0.9)
                  for side in sides[1:] if delay_ms == 50)
    return Comparison("smtp", f"a server that answers after {delay_ms} ms; ideal: one round trip a mail", 2000000 // delay_ms,
                      1000, tuple(sides), goals=goals)


COMPARISONS = (
    *(smtp_row(connections, messages) for connections, messages in ((1, 10000), (10, 20000), (50, 20000), (200, 20000))),
    *(smtp_row(connections, messages, LARGE) for connections, messages in ((1, 2000), (10, 3000), (50, 3000), (200, 3000))),
    *(smtp_row(connections, messages, recipients=10)
      for connections, messages in ((1, 5000), (10, 10000), (50, 10000), (200, 10000))),
    *(smtp_row(connections, messages, LARGE, 10) for connections, messages in ((1, 2000), (10, 3000), (50, 3000), (200, 3000))),
    tls_row(10), tls_row(50),
    far_row(20), far_row(50), far_row(100),
)
