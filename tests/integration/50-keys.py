"""Keys: who is let in at which socket, whose name counts, and what becomes of open connections when a key is taken away.

Each refusal is looked for in four places: what the refused side hears, the numbers of `tpn status`, the log, the audit record."""
import contextlib
import json
import subprocess
import time

import tpn_wire
from tpn_harness import (SLOW, check, check_equal, find_program, pickup_profile, port_answers, run, wait_until, write_yaml)
from tpn_keys import House, Ring


def quick(result, started, words, what):
    """Exit code 3, the words on standard error, and long before the time-out."""
    check_equal(result.returncode, 3, f"exit code of {what}: {result.stdout}{result.stderr}")
    check(words in result.stdout + result.stderr, f"{what} says: {result.stdout}{result.stderr}")
    check(time.monotonic() - started < 10 * SLOW, f"{what} took long to say so")


def test_making_keys(lab):
    """What `tpn keys` prints goes into the allow list as it is; the secret is in one file, and no file is overwritten."""
    folder = lab.folder("made")
    nobody = type("nobody", (), {"endpoints": dict.fromkeys(("submit", "status", "admin"), "tcp://127.0.0.1:1")})
    lines = []
    for name, role, more in (("trackpro", "producer", ("--profile", "office", "--from", "@example.org", "--to", "o'neil@example.org")),
                             ("ann", "operator", ("--right", "read")), ("lab-1", "worker", ()), ("wall", "monitor", ()),
                             ("broker", "broker", ())):
        made = lab.tpn(nobody, "keys", "new", name, "--role", role, "--out", folder, *more)
        check_equal(made.returncode, 0, made.stderr)
        secret = (folder / f"{name}.key").read_text().split("secret: ")[1].strip().strip("'")
        check(secret not in made.stdout + made.stderr + (folder / f"{name}.pub").read_text(), "the secret is told")
        check_equal((folder / f"{name}.key").stat().st_mode & 0o777, 0o600, "mode of the key")
        lines.append(made.stdout.rstrip("\n"))
        again = lab.tpn(nobody, "keys", "new", name, "--role", role, "--out", folder)
        check(again.returncode == 2 and "no key is overwritten" in again.stderr, again.stderr)
        shown = lab.tpn(nobody, "keys", "show", folder / f"{name}.pub")
        check(role == "broker" or shown.stdout.strip() in made.stdout, "keys show tells the public key of the line")
    check_equal(sorted(path.name for path in folder.iterdir() if path.suffix not in (".key", ".pub")), [], "files left behind")
    (folder / "allow.yaml").write_text("\n".join(["access:", *lines]) + "\n")
    words = [find_program("tpn-broker"), "--check-config", "--key", folder / "broker.key", "--allow", folder / "allow.yaml"]
    good = subprocess.run(words, text=True, capture_output=True, check=False)
    check_equal(good.returncode, 0, f"the printed lines: {good.stderr}")
    for change, said in ((["--key", folder / "ann.key"], "role operator"), (["--key", folder / "none.key"], "none.key"),
                         (["--allow", folder / "broker.pub"], "unknown key"), (["--allow", ""], "keys.allow: required")):
        bad = subprocess.run([*words, *change], text=True, capture_output=True, check=False)
        check(bad.returncode == 2 and said in bad.stderr, f"{change}: {bad.stderr}")
    for bad in (("x", "--role", "king"), ("a/b", "--role", "worker"), ("--role", "worker")):
        check_equal(lab.tpn(nobody, "keys", "new", *bad, "--out", folder).returncode, 2, f"keys new {bad}")


def test_everybody_has_its_door(lab):
    """The whole path with keys; then each key at each other door: refused at the handshake, told, counted, logged."""
    house = House(lab)
    house.worker()
    sent = house.send("trackpro", "--wait", "--wait-timeout", str(int(30 * SLOW)))
    check_equal(sent.returncode, 0, sent.stdout + sent.stderr)
    check_equal(len(list(house.pickup.glob("*.eml"))), 1, "mails in the folder")
    stats = house.stats()
    check_equal(int(stats.get("keys", 0)), 5, "keys in force")
    check_equal(int(stats.get("refused_keys", 0)), 0, "refused keys")

    for number, (words, name) in enumerate(((("queue", "ls"), "trackpro"), (("status",), "w1"), (("status",), "watch"),
                                            (("status", "no-such-id"), "w1"), (("status", "no-such-id"), "watch")), 1):
        started = time.monotonic()
        result = lab.tpn(house.broker, *words, *house.ring.flags(name))
        quick(result, started, "refuses this key", f"{words} with the key of {name}")
        house.counted("refused_roles", number)
    house.logged("who=\"producer trackpro at 127.0.0.1\"", "connect admin", "role")
    watcher = lab.add(monitor(house, "w1")).start()
    wait_until(lambda: "refuses this key" in watcher.text(), "the monitor to say that its key is refused")
    house.audited("producer trackpro at 127.0.0.1", "connect admin", "the role of this key")


def monitor(house, name):
    from tpn_harness import Process
    return Process(house.lab, f"monitor-{name}", [find_program("tpn-monitor"), "--follow", "--status",
                                                  house.broker.endpoints["status"], *house.ring.flags(name)])


def test_a_stranger_is_told_counted_and_let_in_once_listed(lab):
    """A worker's and a producer's key that are on no list; both are listed without any restart."""
    house = House(lab)
    house.ring.new("late", "producer", listed=False)
    house.ring.new("w2", "worker", listed=False)
    started = time.monotonic()
    quick(house.send("late"), started, "refuses this key", "a stranger's key")
    house.counted("refused_keys")
    house.logged("stranger at 127.0.0.1", "connect submit", "not on the allow list", house.ring.public("late"))
    check(house.ring._text("late", None, "secret") not in house.broker.text(), "a secret stands in the log")
    worker = lab.worker(house.broker, "w2", roots=[house.pickup], config=house.ring.worker("w2", liveness="1s", beat="200ms"))
    wait_until(lambda: "refuses this key" in worker.text(), "the worker to say that its key is refused", 30)
    house.audited("stranger at 127.0.0.1", "connect submit", "not on the allow list")
    house.broker.start()
    for name, role in (("late", "producer"), ("w2", "worker")):
        house.ring.entries[name] = {"role": role, "keys": [house.ring.public(name)], "profiles": ["lab"],
                                    "from": ["*"], "recipients": ["*"], "workers": ["w2"]}
    house.relist()
    check_equal(house.send("late", "--wait", "--wait-timeout", str(int(30 * SLOW))).returncode, 0, "once it is listed")


def test_a_revoked_key_loses_its_open_connections(lab):
    """Producer, operator, worker and listener are connected when their keys go; another producer's connection goes on."""
    house = House(lab)
    house.worker()
    pb = lab.pb
    links = {name: house.publisher(name) for name in ("trackpro", "other")}
    desk = house.publisher("ann", "admin")
    listener = house.follower("watch")
    for name, link in links.items():
        check_equal(link.submit(lab.request(f"{name}-1")).status, pb.RECEIPT_STATUS_ACCEPTED, name)
    listener.wait_state("trackpro-1", "HANDED_OFF")
    wait_until(lambda: house.stats().get("workers"), "the worker")
    house.ring.new("ben", "operator")
    for name in ("trackpro", "ann", "w1", "watch"):
        del house.ring.entries[name]
    house.relist()
    got = links["trackpro"].submit(lab.request("trackpro-2"))
    check("taken off the allow list" in got.reason, f"the revoked producer hears: {got}")
    verb, got = desk.answer([b"TPN1.STATS", b""])
    check(verb == "TPN1.ERROR" and "taken off" in got.reason, f"the revoked operator hears: {got}")
    check_equal(links["other"].submit(lab.request("other-2")).status, pb.RECEIPT_STATUS_ACCEPTED, "the other producer")
    house.stats = lambda: json.loads(lab.tpn(house.broker, "status", "--json", *house.ring.flags("ben")).stdout)
    house.counted("refused_revoked", 2)
    check_equal(house.stats().get("workers", []), [], "workers that are left")
    check_equal(links["other"].state("other-2"), "ACCEPTED", "with no worker it waits")
    house.logged("name=w1", "result=", "its key was taken off the allow list")
    wait_until(lambda: int(house.stats().get("refused_keys", 0)) >= 1, "the listener to come back and be refused")
    listener.pump(300)
    check(not listener.of("other-2"), "a revoked listener hears an event")
    # Listed again: all of them go on, without a restart.
    for name, role in (("trackpro", "producer"), ("w1", "worker")):
        house.ring.entries[name] = {"role": role, "keys": [house.ring.public(name)], "profiles": ["*"],
                                    "from": ["*"], "recipients": ["*"], "workers": ["*"]}
    house.relist()
    check_equal(links["trackpro"].submit(lab.request("trackpro-2")).status, pb.RECEIPT_STATUS_ACCEPTED, "listed again")
    wait_until(lambda: links["other"].state("other-2") == "HANDED_OFF", "the worker to be let in again", 40)
    house.audited("revoked key", "TPN1.SUBMIT", "taken off the allow list")
    house.audited("broker", "revoke key", "", outcome="done")


def test_a_replay_is_a_duplicate_and_an_id_belongs_to_its_producer(lab):
    """The same bytes again are a duplicate; the same id of another producer is another request, and nobody sees the other's."""
    house = House(lab)
    pb = lab.pb
    mine, theirs = house.publisher("trackpro"), house.publisher("other")
    request = lab.request("case-1")
    check_equal(mine.submit(request).status, pb.RECEIPT_STATUS_ACCEPTED, "first")
    check_equal(mine.submit(request).status, pb.RECEIPT_STATUS_DUPLICATE, "replayed")
    check_equal(theirs.state("case-1"), "UNSPECIFIED", "what the other producer sees of it")
    changed = lab.request("case-1", to=("ben@example.test",))
    check_equal(mine.submit(changed).status, pb.RECEIPT_STATUS_REJECTED, "the same id with another content")
    check_equal(theirs.submit(changed).status, pb.RECEIPT_STATUS_ACCEPTED, "the other's own request of that id")
    check_equal([s.producer for s in theirs.query(["case-1"])], ["other"], "whose it is")
    # A producer cannot cancel anything: the admin socket does not let it in, and submit takes no such verb.
    act = pb.QueueAct(operation=pb.OPERATION_CANCEL, ids=["case-1"])
    setattr(act, "operator", "ann")
    verb, got = theirs.answer([b"TPN1.QUEUE_ACT", act.SerializeToString()])
    check(verb == "TPN1.ERROR" and "not for this socket" in got.reason, f"an act at the submit socket: {got}")
    # An operator sees both, and its own name is the one that counts.
    desk = house.publisher("ann", "admin")
    act = pb.QueueAct(operation=pb.OPERATION_CANCEL, ids=["case-1"], producer="other")
    setattr(act, "operator", "the-director")
    done = desk.answer([b"TPN1.QUEUE_ACT", act.SerializeToString()])[1].results[0]
    check(done.done and "by ann" in done.reason and "director" not in done.reason, f"the act: {done}")
    check_equal(mine.state("case-1"), "ACCEPTED", "the one of that id that was not meant")
    house.counted("duplicates", 1)
    house.counted("refused_by_policy", 2)
    house.audited("producer trackpro", "TPN1.SUBMIT", "duplicate: the same request again")
    house.audited("producer trackpro", "TPN1.SUBMIT", "is already used for a request with other content")
    check_equal(house.audited("producer other", "TPN1.QUERY", "a request of another producer").target, "case-1", "what was asked for")


def test_a_producer_hears_its_own_events_only(lab):
    house = House(lab)
    house.worker()
    own, all_of_it = house.follower("trackpro"), house.follower("watch")
    house.follower("other", "tpn1.trackpro.")
    mine, theirs = house.publisher("trackpro"), house.publisher("other")
    theirs.submit(lab.request("theirs"))
    mine.submit(lab.request("mine"))
    own.wait_state("mine", "HANDED_OFF")
    all_of_it.wait_state("theirs", "HANDED_OFF")
    own.pump(200)
    check(not own.of("theirs"), "a producer hears another's event")
    house.counted("refused_by_policy")
    house.logged("producer other", "subscribe", "its own requests only")
    house.audited("producer other", "subscribe", "its own requests only")


def test_clients_say_what_is_wrong_with_the_keys(lab):
    """A wrong server key, no key at all, a key where none is wanted, half a pair: a sentence at once, never a hang."""
    house = House(lab)
    house.ring.new("elsewhere", "broker")
    started = time.monotonic()
    quick(house.send("trackpro", server=house.ring.path("elsewhere", ending="pub")), started, "server key", "a wrong server key")
    started = time.monotonic()
    quick(lab.tpn(house.broker, "status"), started, "key", "no key at all")
    plain = lab.broker({}, name="plain")
    started = time.monotonic()
    quick(lab.tpn(plain, "status", *house.ring.flags("ann")), started, "keys on our side only", "a key where none is wanted")
    half = lab.tpn(plain, "status", "--key", house.ring.path("ann"))
    check("server key is missing" in half.stderr, f"half a pair: {half.stderr}")
    wait_until(lambda: int(house.stats().get("handshakes_failed", 0)) > 0, "the failed handshakes to be counted")
    house.ring.path("ann").chmod(0o644)
    readable = lab.tpn(house.broker, "status", *house.ring.flags("ann"))
    check("0600" in readable.stderr and readable.returncode != 0, f"a key that others can read: {readable.stderr}")


def test_beyond_loopback_keys_are_needed(lab):
    """Listeners, workers and clients refuse a plain endpoint that others can reach, unless told in so many words."""
    words = [find_program("tpn-broker"), "--submit", "tcp://0.0.0.0:*", "--data", lab.folder("data")]
    for more in ([], ["--check-config"]):
        refused = subprocess.run([*words, *more], text=True, capture_output=True, timeout=20 * SLOW, check=False)
        check_equal(refused.returncode, 2, f"exit code: {refused.stderr}")
        check("listen.submit: tcp://0.0.0.0:* is not on loopback" in refused.stderr, refused.stderr)
    far = lab.tpn(type("far", (), {"endpoints": dict.fromkeys(("submit", "status", "admin"), "tcp://192.0.2.1:5551")}),
                  "status")
    check("not on loopback" in far.stderr, f"tpn says: {far.stderr}")
    worker = subprocess.run([find_program("tpn-worker"), "--broker", "tcp://192.0.2.1:5552"], text=True,
                            capture_output=True, timeout=20 * SLOW, check=False)
    check(worker.returncode == 2 and "not on loopback" in worker.stderr, worker.stderr)
    class Open(type(lab.broker({}))):
        def command(self):
            self.endpoints = self.endpoints or {"submit": "tcp://0.0.0.0:*"}
            return super().command()
    insecure = lab.add(Open(lab, {}, {"insecure": True}, "insecure")).start()
    check("INSECURE" in insecure.text() and port_answers(int(insecure.endpoints["submit"].rsplit(":", 1)[1])),
          "it listens, and says so")
    check_equal(insecure.text().count("INSECURE"), 1, "warnings: one for each listener that is open")


def test_a_broken_list_leaves_the_old_one_in_force(lab):
    house = House(lab)
    link = house.publisher("trackpro")
    good = house.ring.allow.read_text()
    before = house.broker.text().count(" keys result=")
    house.ring.allow.write_text("access:\n  trackpro: {role: king}\n")
    wait_until(lambda: house.broker.text().count(" keys result=") > before, "the broken list to be looked at")
    check_equal(link.submit(lab.request("still")).status, lab.pb.RECEIPT_STATUS_ACCEPTED, "the old list")
    check("role" in house.stats().get("keys_fault", ""), f"status: {house.stats()}")
    house.ring.allow.write_text(good)
    wait_until(lambda: not house.stats().get("keys_fault"), "the fault to go")


def test_a_folder_of_lists(lab):
    """Each file is one part of the list; taking a file away is taking its keys away."""
    ring = Ring(lab)
    ring.new("trackpro", "producer")
    ring.new("ann", "operator")
    folder = lab.folder("allow.d")
    config = ring.config()
    config["keys"]["allow"] = str(folder)
    for name, entry in ring.entries.items():
        write_yaml(folder / f"{name}.yaml", {"access": {name: entry}})
    broker = lab.broker({"lab": pickup_profile(lab.folder("pickup"))}, config)
    link = lab.enter_context(contextlib.closing(tpn_wire.Publisher(lab.pb, broker.endpoints["submit"], curve=ring.curve("trackpro"))))
    check_equal(link.submit(lab.request("one")).status, lab.pb.RECEIPT_STATUS_ACCEPTED, "listed in a folder")
    (folder / "trackpro.yaml").unlink()
    wait_until(lambda: "taken off" in link.submit(lab.request("two")).reason, "the file that is gone to count")
    check_equal(lab.tpn(broker, "status", *ring.flags("ann")).returncode, 0, "the other file")
    # Written in its place: the folder itself looks as before.
    (folder / "ann.yaml").write_text(json.dumps({"access": {"ann": ring.entries["ann"] | {"rights": []}}}))
    wait_until(lambda: "may not read" in lab.tpn(broker, "status", *ring.flags("ann")).stderr, "the changed file to count")


def test_keys_are_exchanged_without_an_outage(lab):
    """A producer's: two keys of one name, and its requests stay its own. The broker's: clients know both, the broker changes."""
    house = House(lab)
    house.worker()
    old = house.publisher("trackpro")
    check_equal(old.submit(lab.request("before")).status, lab.pb.RECEIPT_STATUS_ACCEPTED, "with the old key")
    house.ring.new("trackpro", "producer", file="next")
    house.relist()
    new = house.publisher("trackpro", file="next")
    check_equal(new.submit(lab.request("before")).status, lab.pb.RECEIPT_STATUS_DUPLICATE, "the same producer")
    check_equal(old.submit(lab.request("both")).status, lab.pb.RECEIPT_STATUS_ACCEPTED, "the old key, meanwhile")
    house.ring.entries["trackpro"]["keys"] = [house.ring.public("trackpro", "next")]
    house.relist()
    check("taken off" in old.submit(lab.request("after")).reason, "the old key, at last")
    check_equal(new.submit(lab.request("after")).status, lab.pb.RECEIPT_STATUS_ACCEPTED, "the new key")

    # The broker's: everybody is given both public keys first; then the broker starts with the new one.
    house.ring.new("broker", "broker", file="next")
    both = house.ring.folder / "both.pub"
    both.write_text(f"public: ['{house.ring.public('broker')}', '{house.ring.public('broker', 'next')}']\n")
    worker = lab.worker(house.broker, "w9", roots=[house.pickup],
                        config={"keys": {"own": str(house.ring.path("w1")), "server": str(both)}, "beat": "200ms", "liveness": "2s"})
    wait_until(lambda: any(w["name"] == "w9" for w in house.stats().get("workers", [])), "the worker with both keys")
    check_equal(house.broker.stop(), 0, "the broker's exit")
    config = house.ring.config()
    config["keys"]["own"] = str(house.ring.path("broker", "next"))
    write_yaml(house.broker.config_file, config)
    house.broker.start()
    sent = lab.tpn(house.broker, "send", "--profile", "lab", "--from", "cal@example.test", "--to", "ann@example.test", "--subject",
                   "Due", "--text", "Due", "--wait", "--wait-timeout", str(int(30 * SLOW)),
                   "--key", house.ring.path("trackpro", "next"), "--server-key", both)
    check_equal(sent.returncode, 0, f"after the broker's new key: {sent.stdout}{sent.stderr}")
    check(worker.alive(), "the worker goes on by itself")


if __name__ == "__main__":
    run(globals())
