"""Tables in Markdown, and the figures in them."""

import statistics


def median(values):
    return statistics.median(values)


def num(value):
    """Three significant figures, no exponent."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or value == 0:
        return f"{int(value):,}".replace(",", " ")
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 3
    text = f"{value:,.{digits}f}"
    return text.replace(",", " ")


def ms(us):
    return num(us / 1000)


def table(head, rows):
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    out += ["| " + " | ".join(num(c) for c in row) + " |" for row in rows]
    return "\n".join(out)


class Report:
    """What one part has to say: tables, notes, and goals with what was seen."""

    def __init__(self, name, title):
        self.name, self.title, self.parts, self.goals = name, title, [], []

    def table(self, head, rows):
        self.parts.append(table(head, rows))

    def note(self, text):
        self.parts.append(text)

    def goal(self, what, limit, seen, met):
        """A goal of the design, and whether this run met it."""
        self.goals.append((what, limit, seen, "met" if met else "**missed**"))

    def text(self, judge=True):
        out = [f"### {self.name}: {self.title}", *self.parts]
        if judge and self.goals:
            out.append(table(("goal", "limit", "seen", ""), self.goals))
        return "\n\n".join(out) + "\n"
