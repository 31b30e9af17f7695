"""compose: what composing a mail costs, beside GMime with the same content."""
import re

from bench_meter import Meter, bench_program, run_child, shown_on_failure
from bench_row import Comparison, Goal, Side
from tpn_harness import Lab, check_equal

WHOLE = "4 KB text + HTML + 100 KB attached"


def composer(program, kinds):
    """µs a mail of each kind, mails/s of the last."""
    def run(setup):
        with Lab("bench") as lab, shown_on_failure(lab):
            meter = Meter([])
            child = run_child(lab, program, [bench_program(program), setup.messages])
            rows = re.findall(r"^(.+?)\s+(\d+) bytes\s+([\d.]+) us", child.out, re.M)
            check_equal(len(rows), kinds, f"no result: kinds of mail that {program} told")
            check_equal([name for name, size, _ in rows if int(size) < (100000 if name == WHOLE else 4000)], [],
                        "no result: kinds with mails that are too small")
            figures = {f"{name}, µs": float(each) for name, _, each in rows}
            figures["mails/s with attachment"] = 1e6 / figures[f"{WHOLE}, µs"]
            result = meter.finish(setup.messages, figures, child)
            result.cpu.clear()  # one process makes all kinds: CPU a mail has no meaning
            return result
    return run


COMPARISONS = (
    Comparison("compose", "composing, best of five passes each", 20000, 500,
               (Side("GMime", composer("gmime_bench", 3), "gmime"), Side("our composer", composer("compose_bench", 4), "ours")),
               goals=(Goal("mails/s with attachment, ours to GMime", "ours",
                           "mails/s with attachment", "gmime", at_least=1),)),
)
