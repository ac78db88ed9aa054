"""Puts the tables of a run between the marks of docs/performance.md."""

import os
import re


def write(path, out):
    with open(path, encoding="utf-8") as f:
        text = f.read()

    def table(match):
        file = os.path.join(out, f"{match.group(1)}.md")
        if not os.path.exists(file):
            return match.group(0)  # that part did not run: its last table stays
        with open(file, encoding="utf-8") as f:
            return f"<!-- bench: {match.group(1)} -->\n{f.read().strip()}\n<!-- /bench -->"

    text = re.sub(r"<!-- bench: (\w+) -->\n.*?<!-- /bench -->", table, text, flags=re.S)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
