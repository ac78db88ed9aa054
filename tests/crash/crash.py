#!/usr/bin/python3
"""Kills the service at every point and looks whether anything is lost or done twice. See run.sh."""

import argparse
import collections
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

from lib import gateway, pair, points, rounds, trials  # noqa: E402
from lib.rig import Session  # noqa: E402

PARTS = ["points", "trials", "pair", "gateway", "random"]
MODULES = {"trial": trials, "pair": pair, "gateway": gateway, "round": rounds}


class Tally:
    def __init__(self):
        self.passed, self.failed, self.start = 0, 0, time.monotonic()

    def note(self, name, problems, seconds=None):
        took = f" ({seconds:.1f} s)" if seconds is not None else ""
        if problems:
            self.failed += 1
            print(f"FAILED {name}{took}", flush=True)
            for p in problems:
                print("    " + str(p).replace("\n", "\n    "), flush=True)
        else:
            self.passed += 1
            print(f"ok     {name}{took}", flush=True)


# --- workers: processes, each with a PostgreSQL of its own ---


def work(build, folder, tasks, answers):
    os.chmod(folder, 0o755)
    session = Session(build, folder)
    runner = points.Runner(session)
    try:
        for task in iter(tasks.get, None):
            answers.put((task, do(session, runner, task)))
    finally:
        runner.drop()
        session.close()


def do(session, runner, task):
    kind, *args = task
    if kind == "trace":
        return runner.run(points.trace, *args)
    if kind == "kill":
        return runner.run(points.kill, *args)
    runner.drop()
    return MODULES[kind].run(session, *args)


class Pool:
    def __init__(self, build, folder, size):
        self.tasks, self.answers = multiprocessing.Queue(), multiprocessing.Queue()
        self.workers = []
        for n in range(size):
            mine = os.path.join(folder, f"worker-{n}")
            os.makedirs(mine)
            w = multiprocessing.Process(target=work, args=(build, mine, self.tasks, self.answers))
            w.start()
            self.workers.append(w)

    def each(self, tasks):
        """(task, answer) of each, as they come."""
        for t in tasks:
            self.tasks.put(t)
        for _ in tasks:
            while True:
                try:
                    yield self.answers.get(timeout=5)
                    break
                except multiprocessing.queues.Empty:
                    if not all(w.is_alive() for w in self.workers):
                        sys.exit("crash: a worker has ended; nothing more can be said")

    def close(self):
        for _ in self.workers:
            self.tasks.put(None)
        for w in self.workers:
            w.join(60)


# --- the parts ---


def by_kind(tasks):
    return sorted(tasks, key=lambda t: (points.SCENARIOS[t[1]].kind, t[1:3]))


def run_points(options, tally, pool, numbers):
    names = points.listed(options.build)
    tally.note(f"every state of the machine has a point ({len(points.phases())} states, {len(names)} points)",
               [f"PHASE_{p} has no point change.{p.lower()}" for p in points.phases_without_point(names)])
    wanted = [s for s in points.SCENARIOS if not options.scenario or s in options.scenario]
    passes = {}
    traces = [("trace", s, next(numbers), not options.quick or s == "SyncChange") for s in wanted]
    for (_, name, *_), (problems, seen, took) in pool.each(by_kind(traces)):
        tally.note(f"{name}: nobody dies", problems, took)
        passes[name] = seen or {}
    chosen = [n for n in names if not options.point or n in options.point]
    if options.quick:
        reached = kill_each_once(options, tally, pool, numbers, chosen, passes)
    else:
        reached = kill_everywhere(options, tally, pool, numbers, chosen, passes)
    if not options.scenario:
        tally.note("every point was passed by a run that died there",
                   [f"{n}: no run died there" for n in chosen if n not in reached])


def kill_each_once(options, tally, pool, numbers, chosen, passes):
    """One run a point: another scenario when it was not passed in the first."""
    reached, order = set(), list(points.SCENARIOS)
    for attempt in range(3):
        tasks = []
        for n in chosen:
            able = [s for s in order if passes.get(s, {}).get(n)]
            if n not in reached and attempt < len(able):
                tasks.append(("kill", able[attempt], n, 1, next(numbers)))
        for (_, name, point, passage, _), (problems, died, took) in pool.each(by_kind(tasks)):
            if died:
                reached.add(point)
            if died or problems:
                tally.note(f"{point} in {name}", problems, took)
    return reached


def kill_everywhere(options, tally, pool, numbers, chosen, passes):
    tasks, missed, reached = [], 0, set()
    for name, seen in passes.items():
        for point in chosen:
            count = seen.get(point, 0)
            for passage in sorted({1, 2, count} if count > 1 else {1} if count else set()):
                if passage <= count:
                    tasks.append(("kill", name, point, passage, next(numbers)))
    for (_, name, point, passage, _), (problems, died, took) in pool.each(by_kind(tasks)):
        if died:
            reached.add(point)
        else:
            missed += 1
        tally.note(f"{point}:{passage} in {name}" + ("" if died else " (killed after it, not at it)"), problems, took)
    print(f"{len(tasks)} runs, {len(tasks) - missed} ended by their point, {missed} by a kill -9 elsewhere", flush=True)
    return reached


def tasks_of(options, part):
    if part == "random":
        return [("round", options.seed, n, options.quick) for n in range(options.first, options.first + options.rounds)]
    kind = {"trials": "trial"}.get(part, part)
    return [(kind, name, options.seed) for name in MODULES[kind].names(options.quick)
            if not options.trial or name in options.trial]


def run_parts(options, tally, pool, parts):
    totals, rounds_run = collections.Counter(), 0
    for task, (problems, answer, took) in pool.each([t for part in parts for t in tasks_of(options, part)]):
        if task[0] == "round":
            totals.update(answer or {})
            rounds_run += 1
            tally.note(f"round {task[2]} of seed {task[1]}", problems, took)
        else:
            skipped = f": skipped, {answer}" if isinstance(answer, str) else ""
            tally.note(f"{task[0]}: {task[1]}{skipped}", problems, took)
    if rounds_run:
        print(f"random: {rounds_run} rounds of seed {options.seed}: "
              + ", ".join(f"{n} {what}" for what, n in sorted(totals.items())), flush=True)


def main():
    p = argparse.ArgumentParser(prog="crash", description=__doc__)
    p.add_argument("--build", required=True, help="a build with PCS_FAILPOINTS=ON")
    p.add_argument("--rounds", type=int, default=20, help="random rounds (20)")
    p.add_argument("--first", type=int, default=0, help="number of the first round (0)")
    p.add_argument("--seed", type=int, help="of the random rounds; printed")
    p.add_argument("--quick", action="store_true", help="each point once, few rounds, the short trials")
    p.add_argument("--only", choices=PARTS, action="append", help="these parts alone")
    p.add_argument("--point", action="append", help="this failpoint alone")
    p.add_argument("--scenario", action="append", help="this scenario alone")
    p.add_argument("--trial", action="append", help="this trial alone")
    p.add_argument("--jobs", type=int, default=3, help="runs at the same time (3)")
    p.add_argument("--keep", action="store_true", help="keep logs and journals of everything")
    options = p.parse_args()
    if options.seed is None:
        options.seed = random.randrange(1 << 31)
    if options.quick:
        options.rounds = min(options.rounds, 2)
    print(f"seed {options.seed}", flush=True)
    folder = tempfile.mkdtemp(prefix="pcs-crash-", dir="/tmp")
    os.chmod(folder, 0o755)
    tally = Tally()
    numbers = iter(range(1, 1 << 30))
    pool = Pool(options.build, folder, options.jobs)
    try:
        parts = options.only or PARTS
        if "points" in parts:
            run_points(options, tally, pool, numbers)
        run_parts(options, tally, pool, [part for part in PARTS[1:] if part in parts])
    finally:
        pool.close()
    if not tally.failed and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"seed {options.seed}, {time.monotonic() - tally.start:.0f} s")
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
