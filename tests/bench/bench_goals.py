"""RESULTS.md: sections, newest last, and at its top one table of all goals with the newest figure of each.

The table is made from the sections alone, so it can be made again at any time (`tests/bench/run --goals`); a test of the tree
holds it against them."""
import dataclasses
import re

from bench_table import table

BEGIN = "## Goals: the latest figures\n"
SECTION = re.compile(r"^## (\d{4}-\d\d-\d\d \d\d:\d\d \S+)$", re.M)
HEAD = ("comparison", "goal", "is", "bound", "median", "min–max", "measured")


@dataclasses.dataclass(frozen=True)
class Told:
    """A row of a table of goals, and where it stands."""
    words: tuple                                 # is, bound, median, min–max
    section: str                                 # its date
    revision: str


def sections_of(text):
    """[(date, its text)], oldest first."""
    found = list(SECTION.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return [(match.group(1), text[match.end():end]) for match, end in zip(found, ends)]


def is_whole(section):
    """Run as a goal asks for it: not with other numbers of messages."""
    command = re.search(r"command: (.*)$", section, re.M)
    return bool(command) and "--messages" not in command.group(1)


def told_goals(text):
    """{(heading, goal): Told}, of each the newest."""
    told = {}
    for date, section in sections_of(text):
        revision = re.search(r"^- revision (.*?), build", section, re.M)
        if not revision or not is_whole(section):
            continue
        heading = ""
        for line in section.splitlines():
            if line.startswith("### "):
                heading = line[4:]
            cells = tuple(cell.strip() for cell in line.strip("|").split("|")) if line.startswith("|") else ()
            if len(cells) == 5 and cells[1] in ("met", "missed"):
                told[heading, cells[0]] = Told(cells[1:], date, revision.group(1))
    return told


def goal_lines(text, comparisons):
    """The part of the file that write_goals keeps."""
    told = told_goals(text)
    rows = []
    for row in comparisons:
        for goal in row.goals:
            known = told.get((row.heading(), goal.title))
            figures = (*known.words, f"{known.section}, {known.revision}") if known else ("not measured", goal.bound(), "", "", "")
            rows.append((row.heading(), goal.title, *figures))
    counts = ", ".join(f"{sum(row[2] == word for row in rows)} {word}" for word in ("met", "missed", "not measured"))
    return [BEGIN.strip(), "",
            f"{len(rows)} goals: {counts}. Made from the newest section below that tells each of them, by `tests/bench/run --goals`",
            "and after every recorded run; a run with other numbers of messages (`--messages`) does not count. A revision \"with changes\"",
            "had changes that were not committed.", "",
            *table(3, HEAD, rows), ""]


def with_goals(text, comparisons):
    """The whole file with its table made anew."""
    begin = text.index(BEGIN)
    end = text.find("\n## ", begin) + 1 or len(text)
    return text[:begin] + "\n".join(goal_lines(text, comparisons)) + "\n" + text[end:]


def write_goals(path, comparisons):
    text = path.read_text("utf-8")
    path.write_text(with_goals(text, comparisons), "utf-8")


def append(path, lines, comparisons):
    """A new section. A file that has no table of goals (--results) gets none."""
    text = path.read_text("utf-8") if path.exists() else ""
    text += "\n".join(lines) + "\n"
    path.write_text(with_goals(text, comparisons) if BEGIN in text else text, "utf-8")
