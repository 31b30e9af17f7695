"""compose: what composing a mail costs."""
import re

from bench_meter import Meter, bench_program, run_child, shown_on_failure
from bench_row import Comparison, Side
from tpn_harness import Lab, check_equal


def compose(setup):
    with Lab("bench") as lab, shown_on_failure(lab):
        meter = Meter([])
        child = run_child(lab, "compose_bench", [bench_program("compose_bench"), setup.messages])
        rows = re.findall(r"^(.+?)\s+\d+ bytes\s+([\d.]+) us", child.out, re.M)
        check_equal(len(rows), 4, "no result: kinds of mail that compose_bench told")
        result = meter.finish(setup.messages, {f"{name}, µs a mail": float(each) for name, each in rows}, child)
        result.cpu.clear()  # one process makes all four kinds: CPU a mail has no meaning
        return result


COMPARISONS = (
    Comparison("compose", "composing, best of five passes each", 20000, 500, (Side("our composer", compose),)),
)
