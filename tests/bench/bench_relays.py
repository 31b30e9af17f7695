"""What a user would pick instead, as sides of `pipeline`: Postfix as relay, BullMQ, Celery, a nodemailer pool.

Each is tuned to be fast with what it says yes to on the disk (but for the pool, which keeps nothing), is warm when the
clock starts, and is timed from its first message to the one that completes the sink's count."""
import os
import pathlib
import shutil
import sys
import tempfile
import time

from bench_meter import Meter, run_child, shown_on_failure, words_of
from bench_path import PAYLOAD, SMTP_SOURCE, check_sink
from bench_peers import Redis, missing, node_modules
from tpn_harness import Lab, Process, wait_until

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "peers"))
from postfix_peer import Postfix, closed_to_others  # noqa: E402  found by the line above

PEERS = pathlib.Path(__file__).resolve().parent / "peers"
WARM = 500          # messages through each before its clock starts
INJECTORS = 50      # connections of smtp-source into Postfix
DELIVERIES = 100    # of Postfix at a time
POOL = 50           # connections of a nodemailer pool
CELERY = 4          # processes
LIMIT_S = 300.0


def until_sent(sink, wanted, servers):
    """The moment when the sink had taken so many."""
    wait_until(lambda: sink.count() >= wanted or not all(server.alive() for server in (sink, *servers)),
               f"{wanted} mails at the sink", LIMIT_S, every_s=0.002)
    return time.monotonic()


def relayed(lab, sink, servers, publish, setup):
    """Time and cost of a queue: publish(number) puts so many in and returns its Child and when it began."""
    publish("warm", WARM)
    until_sent(sink, WARM, servers)
    meter = Meter([*servers, sink])
    child, began = publish("producer", setup.messages)
    ended = until_sent(sink, WARM + setup.messages, servers)
    result = meter.finish(setup.messages, {"mails/s": setup.messages / (ended - began)}, child)
    for server in servers:
        server.stop()
    check_sink(sink, WARM + setup.messages)
    return result


class Relay(Postfix):
    """Postfix with the configuration of relay.cf: what comes in goes to the sink."""
    tree = True

    def __init__(self, lab, sink):
        self.sink = sink
        super().__init__(lab)
        self.name = "postfix"

    def render(self, name):
        if name != "main.cf":
            super().render(name)
            return
        text = (PEERS / "relay.cf").read_text(encoding="utf-8")
        for key, value in {"DIR": self.folder, "SINK": self.sink.port, "DELIVERIES": DELIVERIES}.items():
            text = text.replace(f"@{key}@", str(value))
        (self.folder / "etc" / name).write_text(text, encoding="utf-8")


def postfix(setup):
    with Lab("bench") as lab, shown_on_failure(lab):
        sink = lab.smtp_sink()
        relay = lab.add(Relay(lab, sink)).start()

        def publish(name, messages):
            began = time.monotonic()
            return run_child(lab, name, [
                SMTP_SOURCE, "-d", "-s", INJECTORS, "-m", messages, "-l", PAYLOAD, "-f", "a@example.org", "-t",
                "b@example.org", f"127.0.0.1:{relay.port}"]), began
        return relayed(lab, sink, [relay], publish, setup)


def node_missing():
    """For Side.peer. Installs the modules when they are not there."""
    try:
        node_modules()
    except RuntimeError as reason:
        return str(reason)
    return ""


def node(*words):
    return [shutil.which("node"), PEERS / "node_peer.js", *words]


def node_environment():
    return {"NODE_PATH": node_modules(), "NODE_ENV": "production"}


def bullmq(setup):
    with Lab("bench") as lab, shown_on_failure(lab):
        sink = lab.smtp_sink()
        redis = lab.add(Redis(lab)).start()
        words = node("worker", redis.port, sink.port, POOL)
        worker = lab.add(Process(lab, "bullmq", words, node_environment())).start()

        def publish(name, messages):
            child = run_child(lab, name, node("publish", redis.port, messages), node_environment())
            return child, words_of(child.out)["began_s"]
        return relayed(lab, sink, [worker, redis], publish, setup)


def nodemailer(setup):
    with Lab("bench") as lab, shown_on_failure(lab):
        sink = lab.smtp_sink()
        meter = Meter([sink])
        child = run_child(lab, "nodemailer", node("pool", sink.port, POOL, WARM, setup.messages), node_environment())
        result = meter.finish(setup.messages + WARM, {"mails/s": words_of(child.out)["rate"]}, child)
        check_sink(sink, WARM + setup.messages)
        return result


class Celery(Process):
    """A worker with CELERY processes."""
    tree = True

    def __init__(self, lab, redis, sink):
        self.words = {"PYTHONPATH": str(PEERS), "BENCH_REDIS": str(redis.port), "BENCH_SMTP": str(sink.port),
                      "C_FORCE_ROOT": "1"}  # as root it would refuse
        super().__init__(lab, "celery", [
            "/usr/bin/python3", "-m", "celery", "-A", "celery_peer", "worker", "--concurrency", CELERY, "--loglevel",
            "ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"], self.words)

    def kill(self):
        """Its processes are its own to end: killing it hard would leave them."""
        if self.alive():
            self.stop()


def celery(setup):
    with Lab("bench") as lab, shown_on_failure(lab):
        sink = lab.smtp_sink()
        redis = lab.add(Redis(lab)).start()
        worker = lab.add(Celery(lab, redis, sink)).start()

        def publish(name, messages):
            child = run_child(lab, name, ["/usr/bin/python3", PEERS / "celery_peer.py", messages], worker.words)
            return child, words_of(child.out)["began_s"]
        return relayed(lab, sink, [worker, redis], publish, setup)


def postfix_missing():
    if os.geteuid() != 0:
        return "a Postfix of its own needs root"
    folder = pathlib.Path(tempfile.gettempdir())
    closed = closed_to_others(folder)
    return missing(postfix="postfix")() or (
        f"Postfix's own users cannot reach {folder}, for {closed} is closed to others: give another --data" if closed else "")


def celery_missing():
    found = all(pathlib.Path("/usr/lib/python3/dist-packages", name).is_dir() for name in ("celery", "redis"))
    text = "" if found else "Celery (packages python3-celery, python3-redis) is missing"
    return missing(redis_server="redis-server")() or text


def bullmq_missing():
    return missing(redis_server="redis-server")() or node_missing()
