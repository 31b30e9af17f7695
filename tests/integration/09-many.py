"""5,000 custodians, 20,000 items: `tpn alert --wait` through broker and worker against smtp-sink; the counts agree."""
import json
import time

from tpn_harness import check, check_equal, run, smtp_profile

CUSTODIANS = 5000
ITEMS = 20000
TODAY = "2026-11-23"


def write_items(path):
    """ITEMS rows that are all past due, dealt out to CUSTODIANS people."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("Asset ID,Description,Location,Status,Due Date,Date Done,Custodian,Custodian Email\n")
        for number in range(ITEMS):
            person = number * 7919 % CUSTODIANS
            file.write(f"A-{number:05},Torque wrench {number},Bay {number % 40},Active,"
                       f"2026-{number % 10 + 1:02}-{number % 28 + 1:02},,Custodian {person},c{person}@example.test\n")


def test_five_thousand_alerts(lab):
    items = lab.dir / "items.csv"
    write_items(items)
    sink = lab.smtp_sink()
    broker = lab.broker({"lab": smtp_profile(sink.port, max_connections=8)})
    worker = lab.worker(broker)
    started = time.monotonic()
    result = lab.tpn(broker, "alert", "--items", items, "--today", TODAY, "--profile", "lab", "--from",
                     "trackpro@example.test", "--wait", "--json", timeout_s=240)
    seconds = time.monotonic() - started
    check_equal(result.returncode, 0, f"exit status; said: {result.stderr[-2000:]}")
    print(f"#   {CUSTODIANS} alerts in {seconds:.1f} s, {CUSTODIANS / seconds:.0f} a second")
    check_equal(sink.count(), CUSTODIANS, "mails that smtp-sink counted")
    status = lab.tpn(broker, "status", "--json")
    check_equal(status.returncode, 0, f"tpn status; said: {status.stderr}")
    check_equal(states_of(json.loads(status.stdout)), {"SENT": CUSTODIANS}, "tpn status")
    for process in (broker, worker):
        check(" error tpn-" not in process.text(), f"errors in the log of {process.name}")


def states_of(answer):
    """{state: count} of what is not zero, from the answer of `tpn status --json`."""
    states = answer["states"]
    if isinstance(states, list):
        states = {row["state"]: row["count"] for row in states}
    return {name: int(count) for name, count in states.items() if int(count)}


run(globals())
