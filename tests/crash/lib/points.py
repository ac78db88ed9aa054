"""Every failpoint, in every scenario that passes it: load, kill -9 by the point, restart, invariants."""

import os
import re
import subprocess
import time
import traceback
from collections import Counter

from . import scenarios
from .invariants import check
from .rig import CrashWorld, until

HERE = os.path.dirname(os.path.abspath(__file__))
SCENARIOS = {cls.__name__: cls for cls in scenarios.ALL}
IDLE = 1.3  # the journal tidies its log when nothing was done for a second


def listed(build):
    """The names that are linked into the program."""
    out = subprocess.run([os.path.join(build, "product-change-service")], env={"PCS_FAILPOINT": "list"},
                         capture_output=True, text=True, check=True).stdout
    return sorted(out.split())


def phases():
    """The states of the machine: enum phase of src/change/service.h."""
    with open(os.path.join(HERE, "..", "..", "..", "src", "change", "service.h"), encoding="utf-8") as f:
        body = re.search(r"enum phase \{(.*?)\}", f.read(), re.S).group(1)
    return [name for name in re.findall(r"PHASE_(\w+)", body)]


def phases_without_point(points):
    return [p for p in phases() if f"change.{p.lower()}" not in points]


def make_world(session, kind):
    return CrashWorld(session, **scenarios.KINDS[kind])


def lead(w, scenario):
    """act(), in which the service may die at any moment."""
    try:
        scenario.act()
    except Exception:
        if not w.service.wait_dead(2):
            raise


def trace(w, name, number, idle):
    """A run without a death. What is wrong, and how often each point was passed."""
    path = os.path.join(w.folder, f"trace-{number}")
    s = SCENARIOS[name](w, number)
    s.setup()
    w.arm(f"trace {path}")
    s.act()
    s.heal()
    s.after()
    w.quiet(left_open=len(s.left_open()))
    time.sleep(IDLE if idle else 0)
    w.disarm()
    problems = s.rules_broken() + check(w, s.subscribers(), s.left_open())
    a = s.attempt
    if s.expect and (a.request_id is None or result_of(s) != s.expect):
        problems.append(f"wanted {s.expect}, got {a}")
    with open(path, encoding="utf-8") as f:
        return problems, Counter(f.read().split())


def result_of(s):
    data = s.result_data = s.s.result(s.attempt.request_id).data
    return data["processStatus"], data["resultCode"]


def kill(w, name, point, passage, number):
    """A run that ends at a point. What is wrong, and whether the point was passed."""
    s = SCENARIOS[name](w, number)
    s.setup()
    w.arm(f"{point}:{passage}")
    lead(w, s)
    died = w.service.wait_dead(s.linger)
    w.disarm()
    if died:
        w.service.note_death()
    else:
        w.service.kill9()
    s.heal()
    assert w.service.boot(), "died again, although nothing is armed"
    s.after()
    w.quiet(left_open=len(s.left_open()))
    return s.rules_broken() + check(w, s.subscribers(), s.left_open()), died


class Runner:
    """One worker's worlds: one at a time, a new one when the kind changes or something went wrong."""

    def __init__(self, session):
        self.session, self.world, self.kind = session, None, None

    def take(self, kind):
        if kind != self.kind:
            self.drop()
            self.world, self.kind = make_world(self.session, kind), kind
        return self.world

    def drop(self, keep=False):
        if self.world:
            folder = self.world.folder
            self.world.close()
            if not keep:
                subprocess.run(["rm", "-rf", folder], check=False)
        self.world = self.kind = None

    def run(self, what, *args):
        """(problems, the run's own answer); problems holds the traceback when the run itself failed."""
        started = time.monotonic()
        kind = SCENARIOS[args[0]].kind
        try:
            problems, answer = what(self.take(kind), *args)
        except Exception as e:
            problems, answer = [f"{type(e).__name__}: {e}", traceback.format_exc(limit=-6)], None
        if problems:
            if self.world:
                problems.append(f"logs: {self.world.folder}")
            self.drop(keep=True)
        return problems, answer, time.monotonic() - started


__all__ = ["Runner", "kill", "listed", "phases", "phases_without_point", "trace", "until"]
