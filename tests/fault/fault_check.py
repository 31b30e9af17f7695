"""The checker: producers, a broker, workers and mail servers as real processes, killed, stopped and lied to at random;
then receipts, mailboxes and final states are held against each other (fault_verdict.py).

The plan of faults is made of the seed (fault_plan.py), the requests too (fault_requests.py). Prints one line a step,
every finding, and a summary line; exits 1 when there is a finding.

    tests/fault/run [--minutes M] [--seed N] [--rate R] [--actions a,b] [--broker-folder DIR] [--expect-findings] [--plan]
"""
import argparse
import collections
import contextlib
import heapq
import itertools
import json
import os
import pathlib
import subprocess
import sys
import time
import traceback

import tpn_harness
import tpn_wire
from fault_cast import LIBZMQ_ABORT, Actor, FaultSink, make_producer
from fault_operator import Operator
from fault_plan import make_plan
from fault_producer import read_journal
from fault_requests import FORGED, spec_of
from fault_verdict import Event, Mail, Row, judge
from tpn_clock import Clock
from tpn_harness import BUILD_DIR, Broker, Failure, Lab, Worker, check, pickup_profile, smtp_profile, wait_until
from tpn_wire import SLOW, outcome_name, state_name

CAST = {"broker": ["broker"], "worker": ["w1", "w2", "w3"], "producer": ["p1", "p2", "p3"], "sink": ["s1", "s2"]}
# Short enough that a run sees each of them pass many times.
BROKER = {"worker": {"beat": "250ms", "liveness": "2s"}, "lease": {"time": "6s", "grace": "2s"},
          "retry": {"delays": ["500ms", "1s", "2s"]}, "store": {"reserve": "0"}}
WORKER = {"beat": "250ms", "liveness": "2s", "drain": "4s"}
SMTP = {"connect_timeout": "2s", "reply_timeout": "2s", "content_timeout": "3s", "breaker_wait": "1s",
        "max_connections": 16}  # of the whole pool
OPEN_STATES = ("ACCEPTED", "LEASED", "PERMITTED", "DEFERRED")
STUCK_S = 60.0  # without any progress at the end
ASK_AT_ONCE = 100


class Run:
    """One run, from the first start to the verdict."""

    def __init__(self, lab, options):
        self.lab = lab
        self.options = options
        self.counts = collections.Counter()
        self.findings = []
        self.later = []  # heap of (time, number, function)
        self.number = itertools.count()
        self.start_all()

    # ---- the cast ----

    def start_all(self):
        lab, seed = self.lab, self.options.seed
        self.sinks = {name: lab.add(FaultSink(lab, name, f"{seed}{name[1:]}")).start() for name in CAST["sink"]}
        self.box = lab.folder("box")
        port = [sink.port for sink in self.sinks.values()]
        profiles = {"hold": smtp_profile(port[0], **SMTP),
                    "single": smtp_profile(port[0], pipelining="off", **SMTP),
                    "marked": smtp_profile(port[1], unknown_policy="resend_marked", **SMTP),
                    "assume": smtp_profile(port[1], unknown_policy="assume_sent", **SMTP),
                    "pair": smtp_profile(port[0], failover_profile=["spare"], breaker_failures=1, **SMTP),
                    "spare": smtp_profile(port[1], **SMTP),
                    "pickup": pickup_profile(self.box, pickup_dialect="iis")}
        self.clocks = {name: Clock(lab, name) for name in (*CAST["broker"], *CAST["worker"])}
        self.broker = lab.add(Broker(lab, profiles, BROKER))
        self.broker.env.update(self.clocks["broker"].environment())
        self.broker.start()
        self.broker.argv = self.broker.command()  # from here on it listens where it listened first
        self.operator = Operator(lab, self.broker, seed)
        self.actors = {"broker": Actor(self.broker, "broker")}
        for name in CAST["worker"]:
            worker = lab.add(Worker(lab, self.broker, name, roots=[self.box],
                                    config={**WORKER, "state": str(lab.dir / "state")}))
            worker.env.update(self.clocks[name].environment())
            self.actors[name] = Actor(worker.start(), "worker")
        for name in CAST["producer"]:
            producer = lab.add(make_producer(lab, self.broker, name, self.options.seed,
                                             self.options.rate / len(CAST["producer"])))
            self.actors[name] = Actor(producer.start(), "producer")
        for name, sink in self.sinks.items():
            self.actors[name] = Actor(sink, "sink")

    # ---- faults ----

    def after(self, delay_s, function, *words):
        heapq.heappush(self.later, (time.monotonic() + delay_s, next(self.number), function, words))

    def act(self, step):
        words = step.action.split()
        if self.options.verbose:
            print(f"#   {step}", flush=True)
        {"kill": self.kill, "stop": self.stop, "end": self.end, "fault": self.fault, "clock": self.clock,
         "operate": self.operate, "second": self.second}[words[0]](step)

    def kill(self, step):
        names = [step.target] if step.target else [name for kind in ("broker", "worker") for name in CAST[kind]]
        for name in names:
            if self.actors[name].state in ("up", "stopped"):
                self.actors[name].kill()
                self.counts["kills"] += 1
                self.after(step.for_s, self.start_again, name)

    def start_again(self, name):
        if self.actors[name].state == "down":
            self.actors[name].start()

    def stop(self, step):
        actor = self.actors[step.target]
        if actor.state == "up" and actor.process.alive():
            actor.stop()
            self.counts["stops"] += 1
            self.after(step.for_s, self.go_on, step.target)

    def go_on(self, name):
        if self.actors[name].state == "stopped":
            self.actors[name].go_on()

    def end(self, step):
        if self.actors[step.target].state == "up" and self.actors[step.target].process.alive():
            self.actors[step.target].leave()
            self.counts["ends"] += 1

    def fault(self, step):
        self.sinks[step.target].set_fault(*step.detail)
        self.counts["faults"] += 1
        self.after(step.for_s, self.sinks[step.target].set_fault, "", 0.0)

    def clock(self, step):
        self.clocks[step.target].step(step.detail[0])
        self.counts["clock steps"] += 1

    def second(self, _step):
        """Another broker on the same folder must be refused; not while the first is down: then it would be the first."""
        if self.actors["broker"].state not in ("up", "stopped") or not self.broker.alive():
            return
        argv = [word if not word.startswith("tcp://") else "tcp://127.0.0.1:*" for word in self.broker.command()]
        argv[argv.index("--endpoints-file") + 1] = str(self.lab.dir / "second.endpoints")
        with open(self.lab.dir / "second.log", "ab") as log:
            code = subprocess.run(argv, stdout=log, stderr=log, timeout=20 * SLOW, check=False).returncode
        if code == 0:
            self.finding("a second broker opened the same store")
        self.counts["second brokers"] += 1

    def operate(self, step):
        if self.actors["broker"].state == "up":
            self.counts["acts"] += self.operator.visit(*step.detail, CAST["producer"])

    def finding(self, text):
        print(f"FINDING {text}", flush=True)
        self.findings.append(text)

    def watch(self):
        """Who died by itself, who has left, whose time has come."""
        for name, actor in self.actors.items():
            death = actor.death()
            if death and LIBZMQ_ABORT in death and actor.kind == "worker":
                self.counts["libzmq aborts"] += 1
                self.after(0.5, self.start_again, name)
            elif death and actor.kind == "producer" and self.ending() and actor.process.child.returncode == 0:
                actor.state = "done"
            elif death:
                self.finding(death)
                self.after(0.5, self.start_again, name)
            if actor.state == "leaving":
                gone = actor.gone()
                if gone:
                    if gone is not True:
                        self.finding(gone)
                    actor.kill()
                    self.after(0.3, self.start_again, name)
        while self.later and self.later[0][0] <= time.monotonic():
            _, _, function, words = heapq.heappop(self.later)
            function(*words)

    def ending(self):
        return (self.lab.dir / "producers.stop").exists()

    def misbehave(self):
        plan = make_plan(self.options.seed, self.options.minutes * 60, CAST, self.options.actions)
        began = time.monotonic()
        for step in plan:
            while time.monotonic() < began + step.at_s:
                self.watch()
                time.sleep(0.01)
            self.act(step)
        print(f"# {len(plan)} steps done", flush=True)

    # ---- the end ----

    def wait(self, condition, what, timeout_s):
        def look():
            self.watch()
            return condition()
        wait_until(look, what, timeout_s, every_s=0.1)

    def settle(self):
        """Everything healthy again: then every request must come to its end."""
        for sink in self.sinks.values():
            sink.set_fault("", 0.0)
        for clock in self.clocks.values():
            clock.step(0)
        self.wait(lambda: not self.later and all(actor.state == "up" for actor in self.actors.values()),
                  "every process to be up again", 60)
        for sink in self.sinks.values():
            sink.set_fault("", 0.0)
        (self.lab.dir / "producers.stop").touch()
        self.wait(lambda: all(self.actors[name].state == "done" for name in CAST["producer"]),
                  "every producer to have its receipts", 120)
        link = self.lab.enter_context(contextlib.closing(
            tpn_wire.Publisher(self.lab.pb, self.broker.endpoints["admin"])))
        seen, moved, release_at = None, time.monotonic(), 0.0
        while True:
            self.watch()
            stats = link.answer([b"TPN1.STATS", self.lab.pb.StatsAsk().SerializeToString()])[1]
            left = {state_name(self.lab.pb, count.state): count.count for count in stats.states}
            left = {state: count for state, count in left.items() if state in OPEN_STATES and count}
            if not left:
                return
            if time.monotonic() > release_at:
                self.operator.release_all()
                release_at = time.monotonic() + 3
            if left != seen:
                seen, moved = left, time.monotonic()
            if time.monotonic() > moved + STUCK_S * SLOW:
                self.finding(f"STUCK: for {STUCK_S * SLOW:g} s nothing moved: {left}")
                return
            time.sleep(0.25)

    def read_rows(self):
        """Every request in the store, asked page by page; then each one's story."""
        pb, rows, ids, after = self.lab.pb, {}, [], 0
        link = self.lab.publisher(self.broker)
        desk = self.lab.enter_context(contextlib.closing(tpn_wire.Publisher(pb, self.broker.endpoints["admin"])))
        while True:
            question = pb.QueueList(after=after, limit=ASK_AT_ONCE)
            page = desk.answer([b"TPN1.QUEUE_LS", question.SerializeToString()])[1]
            ids += [request.id for request in page.requests]
            after = page.next
            if not after:
                break
        for start in range(0, len(ids), ASK_AT_ONCE):
            for request in link.query(ids[start:start + ASK_AT_ONCE], with_history=True):
                rows[request.id] = row_of(pb, request)
        if len(rows) != len(ids):
            self.finding(f"the list has {len(ids)} requests, of which {len(rows)} differ in name")
        return rows

    def end_all(self):
        """A good end: everybody leaves on SIGTERM with status 0, and the store is sound."""
        for name in (*CAST["worker"], "broker"):
            code = self.actors[name].process.stop(LEAVE_STOP_S)
            self.actors[name].state = "down"
            if code != 0:
                self.finding(f"{name} ended with status {code} at the end")
        check_words = [*self.broker.command(), "--check-store"]
        result = subprocess.run(check_words, capture_output=True, text=True, check=False, timeout=300 * SLOW)
        if result.returncode != 0:
            self.finding(f"--check-store: {result.stdout}{result.stderr}")

    def read_mails(self):
        mails = []
        for sink in self.sinks.values():
            for line in sink.records.read_bytes().split(b"\n")[:-1]:
                record = json.loads(line)
                if record["answer"] in ("250", "lost"):
                    mails.append(mail_of(record))
        for file in sorted(self.box.glob("*.eml")):
            mails.append(mail_of(record_of_file(file.read_bytes())))
        return mails

    def judge(self):
        specs, receipts = {}, {}
        for name in CAST["producer"]:
            for word, number, rest in read_journal(self.lab.dir / f"{name}.journal"):
                if word == "S":
                    specs[f"{name}-{number}"] = spec_of(self.options.seed, name, number, int(rest))
                else:
                    receipts[f"{name}-{number}"] = rest
        rows = self.read_rows()
        self.end_all()
        verdict = judge(specs, receipts, rows, self.read_mails())
        for finding in verdict.findings[:50]:
            self.finding(finding)
        self.findings += verdict.findings[50:]
        return specs, verdict


LEAVE_STOP_S = 30.0


def row_of(pb, request):
    """What the verdict wants to know of a RequestStatus."""
    def is_edit(event):
        return event.reason.startswith("edited by ")

    def addresses(event, outcome, code=0):
        return tuple(r.address for r in event.recipients
                     if outcome_name(pb, r.outcome) == outcome and r.smtp_code >= code)
    history = [Event(state_name(pb, event.state), event.reason, addresses(event, "UNKNOWN"),
                     addresses(event, "REFUSED", 500), (event.epoch, event.sequence),
                     tuple(r.address for r in event.recipients) if is_edit(event) else (), event.held)
               for event in request.history]

    def outcome_of(recipient):
        name = outcome_name(pb, recipient.outcome)
        return "MARKED" if name == "PENDING" and recipient.may_have_it else name
    return Row(state_name(pb, request.state), {r.address: outcome_of(r) for r in request.recipients}, history, request.profile, tuple(request.labels), request.held)


def mail_of(record):
    word, _, request_id = record["subject"].partition(" ")
    return Mail(request_id, record["mid"], record["rcpt"], record["dup"], record["tail"],
                known=word == "Due" and FORGED not in record["subject"])


def record_of_file(data):
    """A pickup file as a record of the sink: X-Receiver lines carry the envelope."""
    head = data.split(b"\r\n\r\n", 1)[0].replace(b"\r\n ", b" ").decode("utf-8", "replace").split("\r\n")
    fields = [(line.partition(":")[0].lower(), line.partition(":")[2].strip()) for line in head]
    first = dict(reversed(fields))
    return {"mid": first.get("message-id", ""), "subject": first.get("subject", ""),
            "rcpt": [value.strip("<>") for name, value in fields if name == "x-receiver"],
            "dup": "x-trackpro-possible-duplicate" in first, "tail": data[-60:].decode("utf-8", "replace")}


def summary(options, run, specs, verdict, began):
    counted = ", ".join(f"{run.counts[word]} {word}" for word in (
        "kills", "stops", "ends", "faults", "clock steps", "acts", "second brokers", "libzmq aborts"))
    states = ", ".join(f"{count} {state}" for state, count in sorted(verdict.states.items()))
    people = ", ".join(f"{count} {outcome}" for outcome, count in sorted(verdict.recipients.items()))
    return (f"SUMMARY seed={options.seed} minutes={options.minutes:g} seconds={time.monotonic() - began:.0f}: {counted}; "
            f"{len(specs)} requests: {states}; {verdict.passed_unknown} passed through UNKNOWN; recipients: {people}; "
            f"{verdict.marked} marked mails, {verdict.doubled} recipients with an allowed second one; "
            f"{verdict.superseded} superseded, {verdict.held} held, {verdict.edited} edited, {verdict.failed_over} failed over; "
            f"{len(run.findings)} findings")


def parse_words():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    parser.add_argument("--rate", type=float, default=60.0, help="requests a second, of all producers together")
    parser.add_argument("--actions", type=lambda text: text.split(","), help="only these of the plan's actions")
    parser.add_argument("--broker-folder", help="where another tpn-broker is: the mutant")
    parser.add_argument("--expect-findings", action="store_true", help="0 when something was found: for the mutant")
    parser.add_argument("--plan", action="store_true", help="print the plan and end")
    parser.add_argument("--verbose", action="store_true", help="a line for each step")
    return parser.parse_args()


def main():
    options = parse_words()
    print(f"# seed {options.seed}, {options.minutes:g} min, {options.rate:g} requests/s: replay with "
          f"tests/fault/run --minutes {options.minutes:g} --seed {options.seed}", flush=True)
    if options.plan:
        print(*make_plan(options.seed, options.minutes * 60, CAST, options.actions), sep="\n")
        return 0
    if options.broker_folder:
        tpn_harness.PROGRAM_DIRS["tpn-broker"] = str(pathlib.Path(options.broker_folder).resolve())
    began = time.monotonic()
    with Lab("fault") as lab:
        run = None
        try:
            run = Run(lab, options)
            run.misbehave()
            run.settle()
            specs, verdict = run.judge()
            print(summary(options, run, specs, verdict, began), flush=True)
            found = len(run.findings)
        except (Failure, OSError, tpn_wire.NoAnswer) as failure:
            traceback.print_exc()
            print(f"FINDING the run came to no end: {failure}")
            found = 1 + (len(run.findings) if run else 0)
        if found and not options.expect_findings:
            lab.show_logs(15)
            keep(lab)
    return int(bool(found) != options.expect_findings)


def keep(lab):
    """What is needed to look into a finding."""
    folder = BUILD_DIR / "fault-findings" / lab.dir.name
    folder.parent.mkdir(exist_ok=True)
    subprocess.run(["cp", "-r", lab.dir, folder], check=False)
    print(f"# everything of the run is in {folder}")


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    check(sys.version_info >= (3, 9), "python 3.9 or newer")
    sys.exit(main())
