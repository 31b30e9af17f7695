"""One request, many recipients: each has its own outcome, each gets one mail, none sees whom it must not see."""
import re

from tpn_harness import check, check_equal, parse_mail, run, smtp_profile, wait_until
from tpn_wire import class_name, outcome_name, phase_name, state_name

LIMITS = {"connect_timeout": "20s", "reply_timeout": "20s", "content_timeout": "20s"}
RETRY_NEVER = {"retry": {"delays": ["1h"]}}
QUICK = {"retry": {"delays": ["1s"]}}
SETTLED = ("SENT", "DEFERRED", "FAILED", "UNKNOWN")

# What tests/peers/postfix/rcpt answers to each, and what is to be told of it.
MIXED = {
    "ann@example.test": ("DELIVERED", "FINAL_DOT", 250, "2.0.0", "Ok: queued as"),
    "reject@example.test": ("REFUSED", "RCPT", 550, "5.1.1", "no such user"),
    "grey@example.test": ("DEFERRED", "RCPT", 450, "4.2.0", "http://postgrey.example/help"),
    "full@example.test": ("DEFERRED", "RCPT", 452, "4.2.2", "mailbox full"),
    "bob@example.test": ("DELIVERED", "FINAL_DOT", 250, "2.0.0", "Ok: queued as"),
}


def told(lab, recipients):
    return {r.address: (outcome_name(lab.pb, r.outcome), phase_name(lab.pb, r.phase), r.smtp_code,
                        r.enhanced_code) for r in recipients}


def outcomes(lab, recipients):
    return {r.address: outcome_name(lab.pb, r.outcome) for r in recipients}


def outcomes_of_events(lab, follower, request_id):
    """The last outcome of each recipient over all events: a split request is told part by part."""
    last = {}
    for event in follower.of(request_id):
        last.update(outcomes(lab, event.recipients))
    return last


def envelopes(server):
    return [people for _, people in server.accepted]


def setup(lab, port, config=None, **more):
    """Broker, worker, follower and publisher for one server."""
    broker = lab.broker({"lab": smtp_profile(port, **LIMITS, **more)}, config or RETRY_NEVER)
    lab.worker(broker)
    return lab.follower(broker), lab.publisher(broker)


def test_each_recipient_is_told_apart(lab):
    postfix = lab.postfix()
    follower, publisher = setup(lab, postfix.port, QUICK)
    publisher.submit(lab.request("mixed", to=list(MIXED)))
    event = follower.wait_state("mixed", *SETTLED)
    check_equal(state_name(lab.pb, event.state), "DEFERRED", "state")
    check(event.partial, "the partial flag")
    check_equal(told(lab, event.recipients), {key: row[:4] for key, row in MIXED.items()}, "told")
    check_equal({r.address.partition("@")[0]: class_name(lab.pb, r.failure_class) for r in event.recipients},
                {"ann": "NONE", "reject": "RECIPIENT", "grey": "TRANSIENT", "full": "TRANSIENT", "bob": "NONE"}, "classes")
    for r in event.recipients:
        check(MIXED[r.address][4] in r.text, f"text of {r.address}: {r.text!r}")
    # The later attempts are for the two that were deferred; the others keep what was said of them.
    wait_until(lambda: rejections(postfix, "grey") >= 3, "the third attempt")
    follower.wait_for(lambda f: f.states("mixed").count("DEFERRED") >= 3, "its result")
    status = publisher.query(["mixed"])[0]
    check_equal(told(lab, status.recipients), {key: row[:4] for key, row in MIXED.items()}, "told after three attempts")
    check_equal(rejections(postfix, "reject"), 1, "times that the refused one was tried")
    check_equal(len(postfix.mails()), 2, "mails that arrived, one for each who was welcome")


def rejections(postfix, local_part):
    """How often Postfix says that it refused this recipient."""
    return len(re.findall(rf": reject: RCPT [^\n]* to=<{local_part}@", postfix.mail_log()))


def test_only_the_deferred_ones_are_tried_again(lab):
    server = lab.faultd()
    follower, publisher = setup(lab, server.port, QUICK)
    publisher.submit(lab.request("again", to=["ann@e.test", "no1@e.test", "grey1@e.test", "full1@e.test", "fwd1@e.test"]))
    first = follower.wait_state("again", "DEFERRED")
    check_equal(outcomes(lab, first.recipients), {
        "ann@e.test": "DELIVERED", "no1@e.test": "REFUSED", "grey1@e.test": "DEFERRED", "full1@e.test": "DEFERRED",
        "fwd1@e.test": "DELIVERED"}, "first attempt")
    server.set_mode("all-welcome")
    # One is refused for good: delivered to all others is FAILED, and partial.
    last = follower.wait_state("again", "FAILED", timeout_s=20)
    check(last.partial, "the partial flag")
    final = outcomes(lab, publisher.query(["again"])[0].recipients)
    check_equal(final, {"ann@e.test": "DELIVERED", "no1@e.test": "REFUSED", "grey1@e.test": "DELIVERED",
                        "full1@e.test": "DELIVERED", "fwd1@e.test": "DELIVERED"}, "at the end")
    check_equal(envelopes(server)[0], ["ann@e.test", "fwd1@e.test"], "first envelope")
    check_equal(sorted(sum(envelopes(server)[1:], [])), ["full1@e.test", "grey1@e.test"], "later envelopes")
    tries = [c for c in server.commands if c.startswith(b"RCPT TO:<no1@")]
    check_equal(len(tries), 1, "times that the refused one was tried")


def test_one_each_shows_nobody_the_others(lab):
    server = lab.faultd()
    follower, publisher = setup(lab, server.port)
    request = lab.request("each", to=["ann@e.test", "bob@e.test", "no1@e.test"], split=lab.pb.SPLIT_ONE_EACH)
    request.message.cc.add(name="Cy", address="cy@e.test")
    request.message.bcc.add(address="dee@e.test")
    publisher.submit(request)
    check_equal(follower.wait_state("each", *SETTLED).partial, True, "the partial flag")
    wanted = {"ann@e.test": "DELIVERED", "bob@e.test": "DELIVERED", "no1@e.test": "REFUSED",
              "cy@e.test": "DELIVERED", "dee@e.test": "DELIVERED"}
    check_equal(outcomes(lab, publisher.query(["each"])[0].recipients), wanted, "outcomes when asked")
    check_equal(outcomes_of_events(lab, follower, "each"), wanted, "outcomes of the events")
    people = sorted(person for envelope in envelopes(server) for person in envelope)
    check_equal(people, ["ann@e.test", "bob@e.test", "cy@e.test", "dee@e.test"], "who got one")
    check_equal({len(envelope) for envelope in envelopes(server)}, {1}, "recipients of a mail")
    everybody = {*people, "no1@e.test"}
    for content, (person,) in server.accepted:
        seen = {other for other in everybody - {person} if other.encode() in content}
        check(not seen, f"the mail to {person} shows {seen}")
    ids = [str(parse_mail(content)["Message-ID"]) for content, _ in server.accepted]
    check_equal(len(set(ids)), 4, "Message-IDs, one for each mail")


def test_bcc_stands_in_no_header(lab):
    server = lab.faultd()
    follower, publisher = setup(lab, server.port)
    request = lab.request("hidden", to=["ann@e.test"])
    request.message.cc.add(address="cy@e.test")
    request.message.bcc.add(name="Dee Hidden", address="dee@e.test")
    publisher.submit(request)
    follower.wait_state("hidden", "SENT")
    ((content, people),) = server.accepted
    check_equal(people, ["ann@e.test", "cy@e.test", "dee@e.test"], "envelope")
    for secret in (b"dee@", b"Hidden", b"Bcc", b"bcc"):
        check(secret not in content.replace(b"Due: hidden", b""), f"{secret} stands in the mail")


def test_many_recipients_go_in_groups(lab):
    server = lab.faultd()
    follower, publisher = setup(lab, server.port, max_recipients_per_message=3)
    people = [f"p{n}@e.test" for n in range(8)]
    publisher.submit(lab.request("many", to=people))
    follower.wait_state("many", "SENT")
    wanted = dict.fromkeys(people, "DELIVERED")
    check_equal(outcomes(lab, publisher.query(["many"])[0].recipients), wanted, "outcomes when asked")
    check_equal(outcomes_of_events(lab, follower, "many"), wanted, "outcomes of the events")
    check_equal(sorted(len(envelope) for envelope in envelopes(server)), [2, 3, 3], "sizes of the envelopes")
    check_equal(sorted(sum(envelopes(server), [])), people, "who got it, once each")
    mails = [parse_mail(content) for content, _ in server.accepted]
    check_equal({tuple(a.addr_spec for a in mail["To"].addresses) for mail in mails}, {tuple(people)},
                "To of each mail: all, for it is one mail")
    check_equal(len({str(mail["Message-ID"]) for mail in mails}), 1, "Message-IDs")


def test_mail_client_is_refused_in_so_many_words(lab):
    broker = lab.broker({"lab": {"method": "mapi"}}, RETRY_NEVER)
    lab.worker(broker)
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("mapi", to=["ann@e.test", "bob@e.test"]))
    event = follower.wait_state("mapi", *SETTLED)
    check_equal(state_name(lab.pb, event.state), "FAILED", "state")
    check_equal(told(lab, event.recipients), dict.fromkeys(("ann@e.test", "bob@e.test"), ("REFUSED", "CLIENT", 0, "")),
                "told")
    check_equal({r.text for r in event.recipients}, {"this pool has no worker with a mail client"}, "text")


def test_smtputf8_is_asked_of_the_server(lab):
    """A server without SMTPUTF8 cannot take a local part in UTF-8: that recipient is refused, the others get theirs.
    A domain in UTF-8 needs nothing: it goes as A-labels."""
    server = lab.faultd()
    follower, publisher = setup(lab, server.port)
    hidden = lab.request("hidden", to=["ann@e.test", "bob@bücher.test"])
    hidden.message.bcc.add(address="jörg@e.test")
    each = lab.request("each", to=["ann@e.test", "jörg@e.test", "bob@bücher.test"], split=lab.pb.SPLIT_ONE_EACH)
    for request in (hidden, each):
        publisher.submit(request)
        event = follower.wait_state(request.id, *SETTLED)
        check_equal((state_name(lab.pb, event.state), event.partial), ("FAILED", True), request.id)
        got = publisher.query([request.id])[0].recipients
        check_equal(outcomes(lab, got), {"ann@e.test": "DELIVERED", "jörg@e.test": "REFUSED",
                                         "bob@bücher.test": "DELIVERED"}, request.id)
        (text,) = {r.text for r in got if r.address.startswith("jörg")}
        check("SMTPUTF8" in text, f"text: {text!r}")
    check_equal(sorted(sum(envelopes(server), [])), sorted(["ann@e.test", "bob@xn--bcher-kva.test"] * 2), "who got one")
    check(not any("jörg".encode() in command for command in server.commands), "the address went out all the same")


def test_smtputf8_address_in_a_header(lab):
    """One mail for all, to a server without SMTPUTF8: whose address needs it is refused, the others get a mail that names
    him in a way that needs nothing (RFC 6857 3.1.8). A sender's address cannot be helped: then the mail is refused."""
    server = lab.faultd()
    follower, publisher = setup(lab, server.port)
    request = lab.request("header", to=["ann@e.test", "jörg@e.test"])
    request.message.to[1].name = "Jörg, Custodian"
    request.message.cc.add(address="bob@e.test")
    publisher.submit(request)
    event = follower.wait_state("header", *SETTLED)
    check_equal(outcomes(lab, event.recipients), {"ann@e.test": "DELIVERED", "jörg@e.test": "REFUSED",
                                                  "bob@e.test": "DELIVERED"}, "outcomes")
    ((content, people),) = server.accepted
    check_equal(people, ["ann@e.test", "bob@e.test"], "envelope")
    check(all(byte < 128 for byte in content), "a byte beyond ASCII to a server without SMTPUTF8")
    mail = parse_mail(content)
    check_equal([a.addr_spec for a in mail["To"].addresses], ["ann@e.test"], "addresses of To")
    check_equal([g.display_name for g in mail["To"].groups if not g.addresses], ["Jörg, Custodian <jörg@e.test>"],
                "the group that stands for him")
    request = lab.request("sender")
    getattr(request.message, "from").address = "jörg@e.test"
    publisher.submit(request)
    event = follower.wait_state("sender", *SETTLED)
    check_equal(set(outcomes(lab, event.recipients).values()), {"REFUSED"}, "outcomes of a sender with SMTPUTF8")
    check("SMTPUTF8" in event.recipients[0].text, f"text: {event.recipients[0].text!r}")


def test_smtputf8_where_the_server_has_it(lab):
    postfix = lab.postfix()
    follower, publisher = setup(lab, postfix.port)
    publisher.submit(lab.request("utf8", to=["ann@example.test", "jörg@example.test"]))
    event = follower.wait_state("utf8", "SENT")
    check_equal(set(outcomes(lab, event.recipients).values()), {"DELIVERED"}, "outcomes")
    mails = postfix.wait_mails(2)
    check(any("jörg@example.test".encode() in mail for mail in mails), "the mail to jörg")


def test_delivery_receipt_comes_where_the_server_offers_it(lab):
    postfix = lab.postfix()
    follower, publisher = setup(lab, postfix.port)
    request = lab.request("receipt", to=["ann@example.test"])
    request.message.request_delivery_receipt = True
    publisher.submit(request)
    follower.wait_state("receipt", "SENT")
    reports = [mail for mail in postfix.wait_mails(2) if b"Action: delivered" in mail]
    check_equal(len(reports), 1, "delivery status notifications (RFC 3464)")


def test_delivery_receipt_is_not_asked_of_a_server_without_it(lab):
    server = lab.faultd()
    follower, publisher = setup(lab, server.port)
    request = lab.request("none", to=["ann@example.test"])
    request.message.request_delivery_receipt = True
    publisher.submit(request)
    follower.wait_state("none", "SENT")
    check(not any(b"NOTIFY" in command for command in server.commands), "NOTIFY went to a server without DSN")


run(globals())
