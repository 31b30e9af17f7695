"""What tpn says of a request: explain word for word (tests/data/explain-*.txt), JSON that scripts can read, exit codes.

TPN_GOLDEN=write makes the golden files new; look at the difference before it is kept."""
import json
import os
import re
import time

from tpn_harness import SLOW, SOURCE_DIR, check, check_equal, free_port, run, smtp_profile

DATA = SOURCE_DIR / "tests" / "data"
RETRY_LATE = {"retry": {"delays": ["1h"]}}
EXPLAINED = {  # request: (its final state, exit code of explain)
    "sent": ("SENT", 0), "partly-refused": ("FAILED", 1), "deferred": ("DEFERRED", 0), "unknown": ("UNKNOWN", 1),
    "expired": ("EXPIRED", 1)}
MASKS = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"(waited|in all) \d+ ms", r"\1 N ms"),
    (r"127\.0\.0\.1 port \d+ after \d+ ms", "127.0.0.1 port PORT after N ms"),
)


def mask(text):
    for pattern, word in MASKS:
        text = re.sub(pattern, word, text)
    return text


def settle_all(lab):
    """One request in each of the states of EXPLAINED."""
    server = lab.faultd()
    silent = lab.faultd("stall-after-dot")
    broker = lab.broker({"lab": smtp_profile(server.port), "down": smtp_profile(free_port()),
                         "silent": smtp_profile(silent.port, content_timeout=f"{2 * SLOW:g}s")}, RETRY_LATE)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    people = {"sent": ["ann@e.test"], "partly-refused": ["ann@e.test", "no1@e.test", "bob@e.test"],
              "deferred": ["ann@e.test", "grey1@e.test"]}
    for request_id, to in people.items():
        publisher.submit(lab.request(request_id, to=to))
        follower.wait_state(request_id, EXPLAINED[request_id][0])
    publisher.submit(lab.request("unknown", profile="silent", labels=[lab.pb.Label(name="asset", value="17")]))
    follower.wait_state("unknown", "UNKNOWN", timeout_s=20)
    publisher.submit(lab.request("expired", to=["ann@e.test"], profile="down",
                                 expire_at_ms=int(time.time() * 1000 + 1500 * SLOW)))
    follower.wait_state("expired", "EXPIRED")
    return broker


def compare_golden(name, got):
    golden = DATA / f"explain-{name}.txt"
    if os.environ.get("TPN_GOLDEN") == "write":
        golden.write_text(got, encoding="utf-8")
    wanted = golden.read_text(encoding="utf-8")
    if got == wanted:
        return []
    return [f"{golden.name}: wanted\n{wanted}--- got\n{got}"]


def test_explain_word_for_word(lab):
    broker = settle_all(lab)
    wrong = []
    for request_id, (_, code) in EXPLAINED.items():
        result = lab.tpn(broker, "explain", request_id)
        check_equal((result.returncode, result.stderr), (code, ""), f"explain {request_id}")
        wrong += compare_golden(request_id, mask(result.stdout))
    check(not wrong, "\n".join(wrong))


def test_json_says_the_same(lab):
    broker = settle_all(lab)
    for request_id, (state, code) in EXPLAINED.items():
        for words, wanted in ((("explain", request_id), code), (("status", request_id), code),
                              (("queue", "show", request_id), 0)):
            result = lab.tpn(broker, *words, "--json")
            check_equal((result.returncode, result.stderr), (wanted, ""), f"{words}")
            check_request(json.loads(result.stdout), request_id, state, history=words[0] != "status")
    check_list(lab, broker)


def check_request(tree, request_id, state, history):
    """The fields that scripts live on."""
    check_equal((tree["id"], tree["state"], tree["producer"]), (request_id, state, "local"), request_id)
    check_equal(tree["partial"], request_id in ("partly-refused", "deferred"), f"{request_id}: partial")
    check(tree["accepted_at_ms"] <= tree["changed_at_ms"], f"{request_id}: times")
    check_equal(tree["next_attempt_ms"] > tree["changed_at_ms"], state == "DEFERRED", f"{request_id}: next attempt")
    got = {r["address"]: (r["outcome"], r["phase"], r["smtp_code"], r["enhanced_code"]) for r in tree["recipients"]}
    if request_id == "partly-refused":
        check_equal(got, {"ann@e.test": ("DELIVERED", "FINAL_DOT", 250, "2.0.0"),
                          "no1@e.test": ("REFUSED", "RCPT", 550, "5.1.1"),
                          "bob@e.test": ("DELIVERED", "FINAL_DOT", 250, "2.0.0")}, f"{request_id}: recipients")
    steps = [event["state"] for event in tree["history"]]
    if history:
        check_equal((steps[0], steps[-1]), ("ACCEPTED", state), f"{request_id}: history")
        check_equal(steps, [event["previous"] for event in tree["history"]][1:] + [state], f"{request_id}: moves")
    else:
        check_equal(steps, [], f"{request_id}: history that nobody asked for")


def check_list(lab, broker):
    """queue ls: one JSON object a line, filters, and the same objects as status gives."""
    def listed(*words):
        result = lab.tpn(broker, "queue", "ls", "--json", *words)
        check_equal((result.returncode, result.stderr), (0, ""), f"queue ls {words}")
        return [json.loads(line) for line in result.stdout.splitlines()]
    check_equal([(tree["id"], tree["state"]) for tree in listed()],
                [(key, row[0]) for key, row in EXPLAINED.items()], "queue ls")
    for tree in listed():
        check_request(tree, tree["id"], EXPLAINED[tree["id"]][0], history=False)
    for words, wanted in ((("--state", "failed", "--state", "EXPIRED"), ["partly-refused", "expired"]),
                          (("--profile", "down"), ["expired"]), (("--prefix", "se"), ["sent"]),
                          (("--limit", "2"), ["sent", "partly-refused"]), (("--producer", "nobody"), [])):
        check_equal([tree["id"] for tree in listed(*words)], wanted, f"queue ls {words}")
    totals = json.loads(lab.tpn(broker, "status", "--json").stdout)
    check(isinstance(totals, dict) and totals, f"status without an ID: {totals}")


def test_exit_codes_are_as_documented(lab):
    broker = settle_all(lab)
    mail = ("send", "-p", "lab", "--from", "a@e.test", "-s", "x", "--text", "x", "--wait")
    nowhere = f"tcp://127.0.0.1:{free_port()}"
    rows = (
        (0, "explain", "sent"), (0, "explain", "deferred"), (0, "status", "sent"), (0, "status"), (0, "queue", "ls"),
        (0, "queue", "show", "expired"), (0, *mail, "--to", "ann@e.test"), (0, "explain", "--help"),
        (1, "explain", "expired"), (1, "status", "partly-refused"), (1, *mail, "--to", "no1@e.test"),
        (1, *mail, "--to", "no address"),
        (2, "explain"), (2, "explain", "sent", "deferred"), (2, "explain", "--nonsense", "sent"), (2, "nonsense"),
        (2, "queue"), (2, "queue", "ls", "--state", "nonsense"), (2, "queue", "ls", "--limit", "-1"),
        (2, "status", "bad id"), (2, *mail),
        (3, "explain", "never-heard-of"), (3, "status", "never-heard-of"), (3, "queue", "show", "never-heard-of"),
        (3, "explain", "sent", "--submit", nowhere, "--timeout", "1"),
        (3, "queue", "ls", "--admin", nowhere, "--timeout", "1"),
        (4, *mail, "--to", "grey1@e.test", "--wait-timeout", "2"),
    )
    wrong = []
    for wanted, *words in rows:
        result = lab.tpn(broker, *words)
        if result.returncode != wanted:
            wrong.append(f"tpn {' '.join(words)}: exit {result.returncode}, wanted {wanted}: {result.stderr.strip()}")
        if wanted in (2, 3) and not result.stderr and not result.stdout:
            wrong.append(f"tpn {' '.join(words)}: not a word of why")
        if result.returncode in (0, 1, 4) and wanted == result.returncode and result.stderr.startswith("tpn "):
            wrong.append(f"tpn {' '.join(words)}: complains: {result.stderr.strip()}")
    check(not wrong, "\n".join(wrong))


run(globals())
