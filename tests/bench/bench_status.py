"""status: what it costs that others follow the events of all requests, and whether they hear of every one."""
from bench_meter import Meter, Started, bench_program, shown_on_failure, words_of
from bench_path import PRIME, WINDOW, Path, check_sink, sink_profile
from bench_row import Comparison, Goal, Side
from tpn_harness import Lab, check_equal, wait_until

EVENTS = 3  # of a mail that goes well, at the least: ACCEPTED, PERMITTED, SENT


def followed(subscribers):
    """The durable path while so many subscribers, in one process, take every event."""
    def run(setup):
        with Lab("bench") as lab, shown_on_failure(lab):
            sink = lab.smtp_sink()
            path = Path(lab, sink_profile(sink.port))
            listener = Started(lab, "subscribers", [bench_program("status_bench"), "-k", subscribers, "-n", setup.messages,
                                                    path.broker.endpoints["status"]])
            lab.callback(listener.kill)
            wait_until(lambda: "ready" in listener.out.read_text("ascii"), "the subscribers to connect")
            meter = Meter([*path.servers, sink])
            producer = path.send("producer", setup.messages, WINDOW, beside=[listener])
            ended = listener.wait()
            said = words_of(ended.out)
            result = meter.finish(setup.messages, {
                "mails/s": words_of(producer.out)["rate"], "events/s to all": said["rate"], "events lost": said["lost"]}, ended)
            path.stop()
            check_sink(sink, setup.messages + PRIME)
            check_equal(said["events"] + said["lost"] >= EVENTS * setup.messages * subscribers, True,
                        "no result: events for every mail and subscriber, heard or known to be lost")
            if not said["lost"]:
                check_equal(said["final"], setup.messages * subscribers, "no result: final events heard")
            return result
    return run


def unfollowed(setup):
    with Lab("bench") as lab, shown_on_failure(lab):
        sink = lab.smtp_sink()
        path = Path(lab, sink_profile(sink.port))
        meter = Meter([*path.servers, sink])
        producer = path.send("producer", setup.messages, WINDOW)
        result = meter.finish(setup.messages, {"mails/s": words_of(producer.out)["rate"]}, producer)
        path.stop()
        check_sink(sink, setup.messages + PRIME)
        return result


COMPARISONS = (
    Comparison("status", "every event to other subscribers, beside the producer", 10000, 500,
               (Side("durable path, the producer alone listens", unfollowed, "none"),
                Side("1 subscriber more", followed(1), "1"), Side("50 subscribers more", followed(50), "50")),
               goals=(Goal("events lost, 1 subscriber", "1", "events lost", at_most=0),
                      Goal("events lost, 50 subscribers", "50", "events lost", at_most=0))),
)
