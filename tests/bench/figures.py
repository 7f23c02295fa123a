# SPDX-License-Identifier: Apache-2.0
"""Rounds, medians and intervals; lines of the table and what they say about a budget."""
import dataclasses
import random
import statistics

RESAMPLES = 2000


def alternate(modes, rounds, measure, say=lambda text: None):
    """[{mode: result}], one a round. The order turns and flips, so that no mode is always first or last."""
    taken = []
    for number in range(rounds):
        at = number % len(modes)
        order = modes[at:] + modes[:at]
        if number // len(modes) % 2:
            order = order[::-1]
        results = {mode: measure(mode) for mode in order}
        taken.append({mode: results[mode] for mode in modes})
        say(f"round {number + 1} of {rounds}")
    return taken


@dataclasses.dataclass
class Figure:
    """A value, and the 90 % interval of what other rounds would have given (bootstrap over the rounds)."""
    value: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, rounds, statistic):
        generator = random.Random(1)
        drawn = sorted(statistic([generator.choice(rounds) for _ in rounds]) for _ in range(RESAMPLES)) if len(rounds) > 1 else []
        value = statistic(rounds)
        if not drawn:
            return cls(value, value, value, len(rounds))
        return cls(value, drawn[RESAMPLES // 20], drawn[-RESAMPLES // 20], len(rounds))


def median_of(mode, field):
    return lambda rounds: statistics.median(one[mode][field] for one in rounds)


def added(mode, baseline, field):
    """What `mode` adds to `baseline`, compared within each round."""
    return lambda rounds: statistics.median(one[mode][field] - one[baseline][field] for one in rounds)


def share(mode, baseline, field):
    """`mode` as a share of `baseline`, compared within each round."""
    return lambda rounds: statistics.median(one[mode][field] / one[baseline][field] for one in rounds)


def times(numerator, denominator):
    """How many times the one is the other; infinite when there is nothing to compare with."""
    def value(rounds):
        below = denominator(rounds)
        return numerator(rounds) / below if below > 0 else float("inf")
    return value


def less(one, other):
    return lambda rounds: one(rounds) - other(rounds)


@dataclasses.dataclass
class Line:
    """One line of the table. `limit`: what the budget says, "<=" or ">=" and a number; exact lines compare
    counts and make the run fail, the others measure."""
    row: str
    what: str
    figure: Figure | None = None
    unit: str = ""
    sign: str = ""
    limit: float | None = None
    medians: dict = dataclasses.field(default_factory=dict)
    note: str = ""
    exact: bool = False

    def meets(self, value):
        return value <= self.limit if self.sign == "<=" else value >= self.limit if self.sign == ">=" else value == self.limit

    def verdict(self):
        if self.figure is None:
            return self.note
        if self.limit is None:
            return ""
        said = "met" if self.meets(self.figure.value) else "missed"
        # Rounds that could have said the other are not a result.
        unsure = self.meets(self.figure.low) != self.meets(self.figure.high)
        return said + (", unsure" if unsure else "")

    def as_json(self):
        return {**dataclasses.asdict(self), "verdict": self.verdict()}


def exact(row, what, value, wanted, unit="", sign="=="):
    return Line(row, what, Figure(value, value, value, 1), unit, sign, wanted, exact=True)


def no_loss(row, what, losses):
    """losses: reason -> events, of each run."""
    reasons = {}
    for one in losses:
        for reason, events in one.items():
            reasons[reason] = reasons.get(reason, 0) + events
    line = exact(row, what, sum(reasons.values()), 0)
    line.note = ", ".join(f"{reason} {events:.0f}" for reason, events in sorted(reasons.items()))
    return line


def once(row, what, value, unit="", sign="", limit=None, note=""):
    return Line(row, what, Figure(value, value, value, 1), unit, sign, limit, note=note)


def absent(row, what, why):
    return Line(row, what, note=why)


def short(value):
    if value == float("inf"):
        return "-"
    if value == int(value) and abs(value) < 1e12:
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"


HEADINGS = ("row", "what", "medians", "result", "90 % interval", "budget", "says")


def cells(line):
    if line.figure is None:
        return (line.row, line.what, "", "", "", "", line.note)
    figure = line.figure
    interval = f"{short(figure.low)} .. {short(figure.high)}" if figure.rounds > 1 else ""
    budget = f"{line.sign} {short(line.limit)}" if line.limit is not None else ""
    medians = ", ".join(f"{mode} {short(value)}" for mode, value in line.medians.items())
    said = " ".join(part for part in (line.verdict(), f"({line.note})" if line.note else "") if part)
    return (line.row, line.what, medians, f"{short(figure.value)} {line.unit}".strip(), interval, budget, said)


def table(lines):
    rows = [HEADINGS, *(cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
