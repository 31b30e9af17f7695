"""accept: durable receipts a second, against a bare log, Redis Streams and beanstalkd that sync as well.

Only what an acceptance needs runs: no worker, no follower. Every side counts at the end what is kept."""
import contextlib
import csv
import functools
import shutil

import tpn_wire
from bench_meter import Meter, bench_program, run_child, run_children, shown_on_failure, together, words_of
from bench_path import PAYLOAD, sink_profile
from bench_peers import Beanstalkd, Redis, missing
from bench_row import Comparison, Goal, Side
from tpn_harness import Lab, check_equal
from tpn_wire import state_name

RECORD = 4197    # bytes of such a request on the wire: what the others keep of each message
PRODUCERS = 16
UNUSED_PORT = 9  # of the profile: no worker runs


def figures_of(said):
    return {"receipts/s": said["rate"], "p50, ms": said["receipt_p50_ms"], "p99, ms": said["receipt_p99_ms"]}


def log(batch, *options):
    """A side: append a batch, fdatasync, the next one. Its p50 and p99 are those of a batch."""
    def run(setup):
        with Lab("bench") as lab, shown_on_failure(lab):
            meter = Meter([])
            child = run_child(lab, "log_bench", [bench_program("log_bench"), "-n", setup.messages, "-s", RECORD, "-b",
                                                 batch, *options, lab.dir / "log"])
            check_equal((lab.dir / "log").stat().st_size, setup.messages * RECORD, "no result: bytes of the log")
            return meter.finish(setup.messages, figures_of(words_of(child.out)), child)
    return run


def redis(clients, pipelined):
    """A side: redis-benchmark adds to one stream."""
    def run(setup):
        messages = max(1, setup.messages // pipelined) * pipelined  # it sends whole pipelines only
        with Lab("bench") as lab, shown_on_failure(lab):
            server = lab.add(Redis(lab)).start()
            meter = Meter([server])
            child = run_child(lab, "redis-benchmark", [
                shutil.which("redis-benchmark"), "-h", "127.0.0.1", "-p", server.port, "-c", clients, "-P", pipelined,
                "-n", messages, "--csv", "--precision", 3, "XADD", "mail", "*", "body", "x" * RECORD])
            said = list(csv.DictReader(child.out.splitlines()))[-1]
            result = meter.finish(messages, {
                "receipts/s": float(said["rps"]), "p50, ms": float(said["p50_latency_ms"]),
                "p99, ms": float(said["p99_latency_ms"])}, child)
            check_equal(server.ask(b"XLEN", b"mail"), messages, "no result: entries of the stream")
            return result
    return run


def beanstalkd(connections, window):
    """A side: a client of ours; it fails by itself when the server does not hold exactly as many jobs."""
    def run(setup):
        with Lab("bench") as lab, shown_on_failure(lab):
            server = lab.add(Beanstalkd(lab)).start()
            meter = Meter([server])
            child = run_child(lab, "beanstalk_bench", [
                bench_program("beanstalk_bench"), "-n", setup.messages, "-s", RECORD, "-w", window, "-c", connections,
                "127.0.0.1", server.port])
            return meter.finish(setup.messages, figures_of(words_of(child.out)), child)
    return run


def kept(lab, broker):
    """Requests that the broker holds as accepted."""
    with contextlib.closing(tpn_wire.Publisher(lab.pb, broker.endpoints["admin"])) as link:
        stats = link.answer([b"TPN1.STATS", lab.pb.StatsAsk().SerializeToString()])[1]
    return {state_name(lab.pb, count.state): count.count for count in stats.states}.get("ACCEPTED", 0)


def accept(producers, window):
    """Our side: producers of one process each, each with so many requests without a receipt."""
    def run(setup):
        with Lab("bench") as lab, shown_on_failure(lab):
            broker = lab.broker({"sink": sink_profile(UNUSED_PORT)})
            command = functools.partial(producer, broker, window)
            run_child(lab, "prime", command(1))
            meter = Meter([broker])
            each = setup.messages // producers
            children = run_children(lab, "producer", [command(each)] * producers)
            said = [words_of(child.out) for child in children]
            seconds = max(one["ended_s"] for one in said) - min(one["began_s"] for one in said)
            result = meter.finish(each * producers, {
                "receipts/s": each * producers / seconds,
                "p50, ms": max(one["receipt_p50_ms"] for one in said),
                "p99, ms": max(one["receipt_p99_ms"] for one in said)},
                together(f"{producers} producers" if producers > 1 else "producer", children))
            check_equal(kept(lab, broker), each * producers + 1, "no result: requests that the broker holds")
            check_equal(broker.stop(), 0, "exit status of the broker")
            return result
    return run


def producer(broker, window, messages):
    return [bench_program("pipeline_bench"), "-a", "-n", messages, "-s", PAYLOAD, "-w", window,
            broker.endpoints["submit"], broker.endpoints["status"]]


def peer_redis(clients, pipelined, share=1.0):
    return Side(f"Redis Streams, fsync always, {clients} × {pipelined}", redis(clients, pipelined), "redis", share,
                missing(redis_server="redis-server", redis_benchmark="redis-tools"))


def peer_beanstalkd(connections, window, share=1.0):
    return Side(f"beanstalkd -b -f0, {connections} × {window}", beanstalkd(connections, window), "beanstalkd", share,
                missing(beanstalkd="beanstalkd"))


def logs(batch, share=1.0):
    """share: large batches are over so soon that they need more messages than we."""
    return (Side(f"append + fdatasync, batches of {batch}", log(batch), "log", share),
            Side(f"the same, written before, {batch}", log(batch, "-p"), share=share))


def ours(producers, window):
    return Side(f"ours, {producers} × {window}", accept(producers, window), "ours")


def against(side, bound, title):
    return Goal(f"durable accept against {title}", "ours", "receipts/s", side, at_least=bound)


COMPARISONS = (
    Comparison("accept", "one at a time", 8000, 200,
               (*logs(1), peer_redis(1, 1), peer_beanstalkd(1, 1), ours(1, 1)),
               goals=(against("log", 0.5, "the log, one at a time"),)),
    Comparison("accept", "64 under way", 64000, 640,
               (*logs(64, 4), peer_redis(1, 64, 0.5), peer_beanstalkd(1, 64, 0.25), ours(1, 64)),
               goals=(against("log", 0.25, "the log in batches of 64"),)),
    Comparison("accept", "1,000 under way", 160000, 1600,
               (*logs(256, 2), peer_redis(50, 16), peer_beanstalkd(50, 20, 0.15), ours(1, 1000)),
               goals=(against("log", 0.25, "the log in batches of 256"),
                      against("redis", 0.7, "Redis always, 50 × 16"), against("beanstalkd", 5, "beanstalkd -f0"))),
    Comparison("accept", f"{PRODUCERS} producers, one at a time each", 32000, 320,
               (*logs(PRODUCERS, 4), peer_redis(PRODUCERS, 1), peer_beanstalkd(PRODUCERS, 1, 0.5), ours(PRODUCERS, 1))),
    Comparison("accept", f"{PRODUCERS} producers, 64 under way each", 160000, 3200,
               (*logs(256, 2), peer_redis(PRODUCERS, 64), peer_beanstalkd(PRODUCERS, 64, 0.15), ours(PRODUCERS, 64)),
               goals=(against("beanstalkd", 5, "beanstalkd -f0, 16 producers"),)),
)
