"""Where a worker may go: the address is looked at after the name was resolved, and no proxy of the environment is asked."""
import contextlib
import socket

from tpn_harness import check, check_equal, run, smtp_profile
from tpn_wire import outcome_name, phase_name, state_name

RETRY_NEVER = {"retry": {"delays": ["1h"]}}
QUICK = {"connect_timeout": "5s"}


class Ear(contextlib.ExitStack):
    """A port on loopback that somebody may knock at."""

    def __init__(self):
        super().__init__()
        self.socket = self.enter_context(contextlib.closing(socket.create_server(("127.0.0.1", 0))))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]

    def knocks(self):
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.accept()[0].close()
                count += 1
        return count


def inline(lab, request_id, server, port):
    request = lab.request(request_id, profile="")
    request.settings.smtp_server, request.settings.smtp_port = server, port
    return request


def refused(lab, event, *words):
    """Kept for later, with a sentence that says what the address was and what to change; nobody was connected to."""
    (r,) = event.recipients
    told = (state_name(lab.pb, event.state), outcome_name(lab.pb, r.outcome), phase_name(lab.pb, r.phase))
    check_equal(told, ("DEFERRED", "DEFERRED", "PREPARE"), f"{event.request_id}: {r.text}")
    check([word for word in ("smtp_server", *words) if word not in r.text] == [], f"{event.request_id}: says {r.text}")


def test_settings_of_a_request_do_not_lead_to_this_machine(lab):
    """Where a producer may name a server, it is none that trusts the worker for being near. The port listens, so a
    connection would be seen."""
    ear = lab.enter_context(Ear())
    rows = (("literal", "127.0.0.1", "loopback"), ("literal-v6", "::1", "loopback"), ("other", "127.8.9.10", "loopback"),
            ("mapped", "::ffff:127.0.0.1", "loopback"), ("name", "localhost", "loopback"),
            ("resolved", "mail.localhost", "loopback"), ("zero", "0.0.0.0", "unspecified"), ("zero-v6", "::", "unspecified"),
            ("metadata", "169.254.169.254", "metadata"), ("metadata-v6", "fd00:ec2::254", "metadata"),
            ("metadata-mapped", "::ffff:169.254.169.254", "metadata"), ("link", "fe80::1", "link-local"),
            ("multicast", "224.0.0.1", "multicast"))
    broker = lab.broker({}, RETRY_NEVER)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    for name, server, words in rows:
        receipt = publisher.submit(inline(lab, name, server, ear.port))
        check_equal(receipt.status, lab.pb.RECEIPT_STATUS_ACCEPTED, f"{name}: {receipt}")
        refused(lab, follower.wait_state(name, "DEFERRED", "FAILED", "SENT"), words, "egress.allow")
    check_equal(ear.knocks(), 0, "connections")


def test_a_profile_leads_to_this_machine_only_in_so_many_words(lab):
    """The relay on the same machine works without a word in worker.yaml; a name that leads there does not."""
    sink = lab.sink()
    broker = lab.broker({"literal": smtp_profile(sink.port),
                         "name": {**smtp_profile(sink.port), "smtp_server": "localhost"},
                         "resolved": {**smtp_profile(sink.port), "smtp_server": "mail.localhost"},
                         "metadata": {**smtp_profile(sink.port), "smtp_server": "169.254.169.254"}}, RETRY_NEVER)
    lab.worker(broker)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    for name in ("literal", "name"):
        publisher.submit(lab.request(name, profile=name))
        follower.wait_state(name, "SENT")
    for name, words in (("resolved", "loopback"), ("metadata", "metadata")):
        publisher.submit(lab.request(name, profile=name))
        refused(lab, follower.wait_state(name, "DEFERRED", "FAILED", "SENT"), words, "egress.allow")
    check_equal(sink.count(), 2, "mails")


def test_lists_of_the_worker_decide(lab):
    sink = lab.sink()
    broker = lab.broker({"lab": smtp_profile(sink.port)}, RETRY_NEVER)
    follower = lab.follower(broker)
    publisher = lab.publisher(broker)
    open_ = lab.worker(broker, "open", config={"egress": {"allow": ["127.0.0.0/8"]}})
    publisher.submit(inline(lab, "allowed", "127.0.0.1", sink.port))
    follower.wait_state("allowed", "SENT")
    open_.stop()
    lab.worker(broker, "fenced", config={"egress": {"only": ["192.0.2.0/24"]}})
    publisher.submit(lab.request("fenced"))
    refused(lab, follower.wait_state("fenced", "DEFERRED", "FAILED", "SENT"), "127.0.0.1", "egress.only")
    check_equal(sink.count(), 1, "mails")


def test_no_proxy_of_the_environment_is_asked(lab):
    ear = lab.enter_context(Ear())
    sink = lab.sink()
    broker = lab.broker({"lab": {**smtp_profile(sink.port), **QUICK}}, RETRY_NEVER)
    worker = lab.worker(broker)
    worker.stop()
    proxy = f"http://127.0.0.1:{ear.port}"
    worker.env |= {name: proxy for name in ("all_proxy", "ALL_PROXY", "smtp_proxy", "https_proxy", "HTTPS_PROXY")}
    worker.start()
    follower = lab.follower(broker)
    lab.publisher(broker).submit(lab.request("direct"))
    follower.wait_state("direct", "SENT")
    check_equal((sink.count(), ear.knocks()), (1, 0), "mails, connections to the proxy")


run(globals())
