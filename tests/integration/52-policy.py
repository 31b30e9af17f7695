"""What the owner of a key may ask for: each limit of a producer, the rights of an operator, the names of a worker. Every refusal
names field and list, is counted, and is in the audit record."""
import time

from tpn_harness import check, check_equal, run, wait_until
from tpn_keys import House

LIMITS = {"profiles": ["lab", "office-*"], "from": ["trackpro@example.test", "@lab.test"],
          "recipients": ["@example.test", "@*.example.test"], "max_bytes": 4000, "priority": "normal"}


def narrow(house, **more):
    house.ring.entries["trackpro"].update(LIMITS | more)
    house.relist()


def test_each_limit_of_a_producer_is_named(lab):
    house = House(lab)
    narrow(house)
    pb, link, other = lab.pb, house.publisher("trackpro"), house.publisher("other")
    # (id, change, field, word of the rule); None = accepted
    rows = (
        ("good", lambda r: None, None, None),
        ("below", lambda r: r.message.to.add(address="a@b.example.test"), None, None),
        ("sender-good", lambda r: setattr(r.message.sender, "address", "any@lab.test"), None, None),
        ("profile", lambda r: setattr(r, "profile", "bank"), "profile", "profiles"),
        ("from", lambda r: setattr(getattr(r.message, "from"), "address", "boss@example.test"), "message.from.address", "from"),
        ("sender", lambda r: setattr(r.message.sender, "address", "boss@example.test"), "message.sender.address", "from"),
        ("to", lambda r: r.message.to.add(address="eve@evil.test"), "message.to[1].address", "recipients"),
        ("cc", lambda r: r.message.cc.add(address="eve@notexample.test"), "message.cc[0].address", "recipients"),
        ("bcc", lambda r: r.message.bcc.add(address="eve@evil.test"), "message.bcc[0].address", "recipients"),
        ("size", lambda r: setattr(r.message, "text", "x" * 5000), "", "max_bytes"),
        ("urgent", lambda r: setattr(r, "priority", pb.PRIORITY_URGENT), "priority", "priority"),
        ("settings", inline, "settings", "inline_settings"),
    )
    refused = 0
    for request_id, change, field, word in rows:
        request = lab.request(request_id)
        change(request)
        got = link.submit(request)
        if field is None:
            check_equal(got.status, pb.RECEIPT_STATUS_ACCEPTED, f"{request_id}: {got.field} {got.reason}")
            continue
        refused += 1
        check_equal((got.status, got.field), (pb.RECEIPT_STATUS_REJECTED, field), request_id)
        check(word in got.reason and "allow list: trackpro" in got.reason, f"{request_id}: {got.reason}")
        check_equal(link.state(request_id), "UNSPECIFIED", f"{request_id} in the store")
        # The other producer's own list lets the same through, as far as the rest of it is good.
        if word in ("from", "recipients", "max_bytes"):
            check_equal(other.submit(request).status, pb.RECEIPT_STATUS_ACCEPTED, f"{request_id} of the other")
    house.counted("refused_by_policy", refused)
    for word in ("profiles", "from", "recipients", "max_bytes", "priority", "inline_settings"):
        house.audited("producer trackpro", "TPN1.SUBMIT", f": {word} (allow list")


def inline(request):
    request.profile = ""
    request.settings.smtp_server = "relay.example.test"


def test_the_rate_makes_producers_wait(lab):
    """Beyond the rate a request is put off, not lost; the number of connections does not help."""
    house = House(lab)
    narrow(house, per_minute=5)
    pb = lab.pb
    links = [house.publisher("trackpro") for _ in range(2)]
    got = [links[i % 2].submit(lab.request(f"r-{i}")) for i in range(9)]
    accepted = [r for r in got if r.status == pb.RECEIPT_STATUS_ACCEPTED]
    put_off = [r for r in got if r.status == pb.RECEIPT_STATUS_BUSY]
    check(5 <= len(accepted) <= 6, f"{len(accepted)} accepted at once")
    check_equal(len(accepted) + len(put_off), 9, "answers")
    check(all(0 < r.retry_after_ms <= 61000 and "per_minute" in r.reason for r in put_off), f"put off: {put_off[0]}")
    check_equal(house.publisher("other").submit(lab.request("free")).status, pb.RECEIPT_STATUS_ACCEPTED, "another producer")
    house.counted("refused_by_rate", len(put_off))
    check_equal(house.audited("producer trackpro", "TPN1.SUBMIT", "per_minute").count in (0, 1), True, "the first record is one")


def test_operators_have_rights(lab):
    """read lists and shows, act acts, none does neither; nothing of it at the submit socket but asking."""
    house = House(lab)
    for name, rights in (("reader", ["read"]), ("actor", ["act"]), ("none", [])):
        house.ring.new(name, "operator", rights=rights)
    house.relist()
    check_equal(house.publisher("trackpro").submit(lab.request("one")).status, lab.pb.RECEIPT_STATUS_ACCEPTED, "one")
    for name, listed, acted in (("reader", 0, 3), ("actor", 3, 0), ("none", 3, 3), ("ann", 0, 0)):
        got = lab.tpn(house.broker, "queue", "ls", *house.ring.flags(name))
        check_equal(bool(got.returncode), bool(listed), f"{name} lists: {got.stderr}")
        check(not listed or "may not read" in got.stderr, f"{name} lists: {got.stderr}")
        if name != "ann":
            got = lab.tpn(house.broker, "queue", "cancel", "no-such-id", *house.ring.flags(name))
            check_equal("may not act" in got.stderr + got.stdout, bool(acted), f"{name} acts: {got.stderr}{got.stdout}")
    asked = lab.tpn(house.broker, "status", "one", *house.ring.flags("reader"))
    check("ACCEPTED" in asked.stdout, f"an operator asks for any producer's request: {asked.stdout}{asked.stderr}")
    got = house.publisher("ann").submit(lab.request("mine"))
    check("only the key of a producer" in got.reason, f"an operator submits: {got}")
    house.counted("refused_by_policy", 4)
    house.counted("refused_roles", 1)
    house.audited("operator reader", "TPN1.QUEUE_ACT", "may not act")
    house.audited("operator ann", "TPN1.SUBMIT", "only the key of a producer")


def test_a_worker_has_the_names_of_its_key(lab):
    house = House(lab)
    house.ring.entries["w1"]["workers"] = ["lab-1*"]
    house.relist()
    config = house.ring.worker("w1", beat="200ms", liveness="2s")
    wrong = lab.worker(house.broker, "lab-2", roots=[house.pickup], config=config)
    wait_until(lambda: "may not be a worker of that name" in wrong.text(), "the worker to hear why")
    check_equal(house.stats().get("workers", []), [], "workers")
    lab.worker(house.broker, "lab-1b", roots=[house.pickup], config=config)
    wait_until(lambda: [w["name"] for w in house.stats().get("workers", [])] == ["lab-1b"], "the worker with a right name")
    told = wrong.text().count("may not be a worker")
    began = time.monotonic()
    wait_until(lambda: wrong.text().count("may not be a worker") >= told + 2, "it to ask again")
    check(time.monotonic() - began > 0.15, "it asks without a pause")
    house.counted("refused_by_policy")
    house.audited("worker w1", "TPN1.READY", "may not be a worker of that name")


def test_a_test_of_settings_has_the_limits_of_its_producer(lab):
    house = House(lab)
    narrow(house)
    got = lab.tpn(house.broker, "profile", "test", "bank", *house.ring.flags("trackpro"))
    check("profiles (allow list: trackpro)" in got.stdout + got.stderr, f"a profile that is not its own: {got.stdout}{got.stderr}")
    house.counted("refused_by_policy")


if __name__ == "__main__":
    run(globals())
