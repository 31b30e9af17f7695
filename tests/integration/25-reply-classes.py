"""What a refusal means: told with each recipient, changed by a profile's rules, and acted on recipient by recipient."""
from tpn_harness import check, check_equal, run, smtp_profile, wait_until
from tpn_wire import class_name, outcome_name, state_name

LIMITS = {"connect_timeout": "20s", "reply_timeout": "20s", "content_timeout": "20s"}
RETRY_NEVER = {"retry": {"delays": ["1h"]}}
QUICK = {"retry": {"delays": ["1s"]}}
SETTLED = ("SENT", "DEFERRED", "FAILED", "UNKNOWN")


def told(lab, recipients):
    return {r.address: (outcome_name(lab.pb, r.outcome), class_name(lab.pb, r.failure_class)) for r in recipients}


def test_accepted_refused_deferred_and_unknown_are_told_apart(lab):
    """Four recipients, four outcomes, in the status and in `tpn explain`; only the 450 is tried again."""
    server = lab.faultd()
    broker = lab.broker({"lab": smtp_profile(server.port, **LIMITS)}, QUICK)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    people = ["ann@e.test", "no1@e.test", "grey1@e.test", "lost1@e.test"]
    publisher.submit(lab.request("four", to=people, split=lab.pb.SPLIT_ONE_EACH))
    follower.wait_state("four", "DEFERRED")
    status = publisher.query(["four"])[0]
    check_equal(told(lab, status.recipients), {
        "ann@e.test": ("DELIVERED", "NONE"), "no1@e.test": ("REFUSED", "RECIPIENT"),
        "grey1@e.test": ("DEFERRED", "TRANSIENT"), "lost1@e.test": ("UNKNOWN", "UNCERTAIN")}, "after the first attempt")
    wait_until(lambda: rcpts(server, "grey1") >= 3, "the third attempt for the 450")
    server.set_mode("all-welcome")
    event = follower.wait_state("four", "UNKNOWN")
    check(event.partial, "the partial flag")
    status = publisher.query(["four"])[0]
    check_equal(told(lab, status.recipients), {
        "ann@e.test": ("DELIVERED", "NONE"), "no1@e.test": ("REFUSED", "RECIPIENT"),
        "grey1@e.test": ("DELIVERED", "NONE"), "lost1@e.test": ("UNKNOWN", "UNCERTAIN")}, "in the end")
    for person in ("ann", "no1", "lost1"):
        check_equal(rcpts(server, person), 1, f"times that {person} was tried")
    explained = lab.tpn(broker, "explain", "four").stdout
    for words in ("<no1@e.test> REFUSED (RECIPIENT) RCPT 550 5.1.1", "<lost1@e.test> UNKNOWN (UNCERTAIN) FINAL_DOT",
                  "<grey1@e.test> DEFERRED (TRANSIENT) RCPT 450 4.2.0"):
        check(words in explained, f"explain does not say {words!r}:\n{explained}")


def rcpts(server, local_part):
    return sum(command.startswith(b"RCPT TO:<" + local_part.encode() + b"@") for command in server.commands)


def test_rules_of_a_profile_change_what_a_refusal_means(lab):
    """The same 554 after the dot: final without a rule, tried again with one; and a 450 made final."""
    server = lab.faultd("554-after-dot")
    gone = lab.faultd()
    rules = {"filter_sleeps": {"phase": "final_dot", "code": "55x", "text": "REFUSED as spam", "class": "quota"},
             "grey_is_gone": {"enhanced_code": "4.2.x", "class": "recipient"}}
    broker = lab.broker({"plain": smtp_profile(server.port, **LIMITS),
                         "ruled": smtp_profile(server.port, reply_rules=rules, **LIMITS),
                         "gone": smtp_profile(gone.port, reply_rules=rules, **LIMITS)}, RETRY_NEVER)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    for profile, to, state, wanted in (("plain", "ann@e.test", "FAILED", ("REFUSED", "MESSAGE")),
                                       ("ruled", "ann@e.test", "DEFERRED", ("DEFERRED", "QUOTA")),
                                       ("gone", "grey1@e.test", "FAILED", ("REFUSED", "RECIPIENT"))):
        publisher.submit(lab.request(profile, to=[to], profile=profile))
        event = follower.wait_state(profile, *SETTLED)
        check_equal((state_name(lab.pb, event.state), told(lab, event.recipients)), (state, {to: wanted}), profile)


def test_recipients_beyond_the_limit_of_the_server(lab):
    """Eight for a server that takes three at a time: three mails in one attempt, whether it says so in EHLO or by 452."""
    for mode in ("rcpt-limit-3", "rcptmax-3"):
        server = lab.faultd(mode)
        broker = lab.broker({"lab": smtp_profile(server.port, **LIMITS)}, RETRY_NEVER, name=f"broker-{mode}")
        lab.worker(broker, name=f"worker-{mode}")
        follower = lab.follower(broker)
        publisher = lab.publisher(broker)
        people = [f"p{n}@e.test" for n in range(7)]
        publisher.submit(lab.request("many", to=[*people, "no1@e.test"]))
        event = follower.wait_state("many", *SETTLED)
        wanted = {**dict.fromkeys(people, ("DELIVERED", "NONE")), "no1@e.test": ("REFUSED", "RECIPIENT")}
        check_equal((state_name(lab.pb, event.state), event.attempt, told(lab, event.recipients)),
                    ("FAILED", 1, wanted), mode)
        check_equal(sorted(sum((to for _, to in server.accepted), [])), people, f"{mode}: who got it, once each")
        check_equal(sorted(len(to) for _, to in server.accepted), [1, 3, 3], f"{mode}: sizes of the envelopes")
        check_equal(event.queue_id, "4FZq1,4FZq1,4FZq1", f"{mode}: the server's names")


run(globals())
