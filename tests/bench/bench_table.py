"""A comparison's results as Markdown."""
import statistics
import string


def letter(index):
    return string.ascii_lowercase[index]


def tell(value):
    """Three digits that matter, no exponent."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 or value == 0 else 4
    return f"{value:.{digits}f}"


def spread(values):
    return f"{tell(min(values))}–{tell(max(values))}"


def figure_rows(sides, results):
    rows = []
    first = results[sides[0].name()]
    for index, side in enumerate(sides):
        own = results[side.name()]
        for name in own[0].figures:
            values = [result.figures[name] for result in own]
            ratio = ""
            if index and name in first[0].figures:
                pairs = [one.figures[name] / other.figures[name] for one, other in zip(own, first)]
                ratio = f"{tell(statistics.median(pairs))} ({spread(pairs)})"
            rows.append((f"{letter(index)} {side.title}", name, tell(statistics.median(values)), spread(values), ratio))
    return rows


def peak_text(mb):
    """Blank when the process ended before it was looked at."""
    return f"{mb:.1f}" if mb else ""


def cost_rows(sides, results):
    rows = []
    for index, side in enumerate(sides):
        runs = results[side.name()]
        for name in runs[0].peak:
            user, system = ([run.cpu[name][part] for run in runs] if name in runs[0].cpu else [] for part in (0, 1))
            both = [one + other for one, other in zip(user, system)]
            rows.append((f"{letter(index)} {name}",
                         *(tell(statistics.median(values)) if values else "" for values in (user, system, both)),
                         peak_text(max(run.peak[name] for run in runs))))
    return rows


def goal_rows(goals, results):
    rows = []
    for goal in goals:
        values = goal.values(results)
        if values:
            rows.append((goal.title, "met" if goal.met(values) else "missed", goal.bound(),
                         tell(statistics.median(values)), spread(values)))
    return rows


def table(words, head, rows):
    """Markdown that can be read as it stands: the first columns are words, the others numbers, to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(row):
        cells = [cell.ljust(width) if i < words else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        return f"| {' | '.join(cells)} |"
    rule = [f"{'-' * (width + 1)}{'-' if i < words else ':'}" for i, width in enumerate(widths)]
    return [line(head), f"|{'|'.join(rule)}|", *(line(row) for row in rows)]


def report(comparison, sides, counts, results):
    """Lines; sides are those that ran, counts their messages, results {key of the side: [Result of each round]}."""
    rounds = len(results[sides[0].name()])
    others = ", ".join(f"{letter(index)} {statistics.median(run.others for run in results[side.name()]):.0%}"
                       for index, side in enumerate(sides))
    messages = str(counts[0]) if len(set(counts)) == 1 else ", ".join(
        f"{letter(index)} {count}" for index, count in enumerate(counts))
    lines = [f"### {comparison.heading()}", "",
             f"{messages} messages, {rounds} round{'s' * (rounds > 1)}. "
             f"Rest of the machine (kernel threads, other programs): {others} of all cores.", "",
             *table(2, ("side", "figure", "median", "min–max", "ratio to a"), figure_rows(sides, results))]
    costs = cost_rows(sides, results)
    if costs:
        lines += ["", *table(1, ("process", "user µs a message", "system µs", "both", "peak MB"), costs)]
    goals = goal_rows(comparison.goals, results)
    if goals:
        lines += ["", *table(2, ("goal", "is", "bound", "median", "min–max"), goals)]
    return lines + [""]
