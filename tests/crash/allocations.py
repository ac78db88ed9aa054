#!/usr/bin/python3
"""The N-th allocation that our own code makes fails, for every N, through one whole journey: menu, change screen,
request, replay, look-up, history, held and cancelled, delivery.

Never a crash (the service lives, and ends with 0: under AddressSanitizer without a leak), a hang (every request ends in
time), or a false acknowledgement (lib/invariants.py, from KOS's, MVNO AP's and PostgreSQL's own records). One process
serves all of it; the failing allocation is chosen in memory that the test shares with it (failalloc.c)."""

import argparse
import mmap
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

from lib import rig  # noqa: E402
from lib.invariants import check  # noqa: E402
from lib.rig import CrashWorld, Session, until  # noqa: E402

SITES = 4096
HEAD = struct.Struct("<qQQqQQ")  # struct control of failalloc.c
SLOW = 12.0  # seconds after which an answer is a hang; change.deadline is below
BATCH = 12  # journeys between two looks at the neighbours' records


class Control:
    def __init__(self, path):
        with open(path, "wb") as f:
            f.truncate(HEAD.size + 8 * SITES)
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 0)

    def arm(self, n, site=0, run=0):
        """The n-th from now fails, and `run` after it; of this place, if one is given."""
        self.disarm()
        self.map[8:40] = struct.pack("<QQqQ", 0, site, run, 0)
        self.map[:8] = struct.pack("<q", n if n else -run)

    def disarm(self):
        self.map[:8] = struct.pack("<q", -(1 << 62))

    @property
    def passed(self):
        return struct.unpack_from("<Q", self.map, 8)[0]

    @property
    def failed(self):
        """The place that failed since arm(); None: nothing did."""
        failed, where = struct.unpack_from("<QQ", self.map, 32)
        return where if failed else None

    @property
    def sites(self):
        return {s for s in struct.unpack_from(f"<{SITES}Q", self.map, HEAD.size) if s}

    def forget_sites(self):
        self.map[HEAD.size:] = bytes(8 * SITES)


class FailingService(rig.CrashService):
    def start(self, ready=True):
        self.argv[0] = os.path.join(os.path.dirname(self.argv[0]), "tests", "service-failalloc")
        super().start(ready)


class AllocationWorld(CrashWorld):
    def __init__(self, session):
        self.control_file = os.path.join(session.folder, "failalloc")
        self.control = Control(self.control_file)
        rig.CrashService, plain = FailingService, rig.CrashService
        try:
            super().__init__(session, env={"FAILALLOC": self.control_file, "OUTAGE_MODE": "hold", "SERVER_THREADS": "1",
                                           "KOS_READ_RETRIES": "0", "CHANGE_DEADLINE": "8s"})
        finally:
            rig.CrashService = plain
        self.slow = []

    def ask(self, method, path, token, body=None, service=None, timeout=20, check=True, **headers):
        start = time.monotonic()
        # an answer in want of memory may be the static one; what it says is judged by the records
        reply = super().ask(method, path, token, body, service, timeout, check=False, **headers)
        if time.monotonic() - start > SLOW:
            self.slow.append(f"{method} {path}: {reply!r} after {time.monotonic() - start:.1f} s")
        return reply


def unsaid(attempt):
    """A 500 promises nothing, unlike a 503 (CONTRACT.md 1): as if there had been no answer. The change is looked for in
    the records all the same: recorded, told and once, or not there."""
    if attempt.status == 500:
        attempt.status = attempt.reply = None
    return attempt


def journey(w, s):
    """What the customer does. Whatever is answered, they go on."""
    s.menu()
    s.menu()
    w.ask("GET", "/change", s.token)
    first = unsaid(s.change("LTE_PLUS", "LTE_BASIC", key=f"key-{s.line}"))
    unsaid(s.again(first))
    if first.request_id:
        s.result(first.request_id, wait=1)
    w.ask("GET", "/history?size=5", s.token)
    w.kos.fault("http_status", status=500, operation="inquiry", lineNumber=s.line)
    held = unsaid(s.change("LTE_SLIM", "LTE_PLUS", asynchronous=True))
    if held.status == 202:
        s.result(held.request_id)
        s.cancel(held.request_id)
    w.kos.clear()
    return first, held


def forwarded(w, seconds=2.0):
    """Delivery and forwarding belong to the journey: the failing allocation may be theirs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        reply = w.ask("GET", "/metrics", "-")
        text = reply.text if reply and reply.status == 200 else ""
        waiting = [line for line in text.splitlines() if line.startswith("pcs_journal_pending")]
        if waiting and all(line.endswith(" 0") for line in waiting):
            return
        time.sleep(0.02)


def one(w, n, site=0):
    """The n-th allocation of a journey (at that place) fails. The subscriber, and where it was."""
    s = w.subscriber()
    w.control.arm(n, site)
    journey(w, s)
    forwarded(w)
    w.control.disarm()
    return s, w.control.failed


def look(w, batch):
    """After a batch: everything comes to rest, and the records agree with what was told."""
    if not w.service.process.running():
        return ["the service has ended: " + w.service.process.log()[-3000:]]
    problems = [f"hang: {text}" for text in w.slow]
    try:
        w.quiet(30)
        problems += check(w, [s for s, _ in batch])
    except AssertionError as e:
        problems.append(str(e))
    return problems


def name_of(w, site):
    out = subprocess.run(["addr2line", "-f", "-s", "-e", w.service.argv[0], hex(site - 1)], capture_output=True, text=True)
    return " ".join(out.stdout.split())


def tasks(total, places, options):
    """(n, place): each allocation in turn, and each place by itself, the first few times that it is passed: no two
    journeys are alike, so that the turn of a rare place may never come."""
    if options.only:
        return [(n, 0) for n in options.only]
    turns = [(n, 0) for n in range(1, total + total // 10 + 1)]
    by_place = [(n, site) for site in sorted(places) for n in (1, 2, 3)]
    if options.seconds:
        chosen = random.Random(options.seed)
        chosen.shuffle(turns)
        return [t for t in by_place if t[0] == 1] + turns
    return by_place + turns


def refused_all_the_same(w):
    """A change from a product that is not the line's (KOS does not compare it, the pre-check does): whatever could not be
    kept of what KOS said of the line, nothing is ordered. Several allocations fail in a row: one alone is made up for."""
    n = 0
    while n < 1000:
        n += 1
        s = w.subscriber()
        other = "5GX_STANDARD" if s.product() != "5GX_STANDARD" else "LTE_PLUS"
        w.control.arm(n, run=3)
        attempt = unsaid(s.change("LTE_SLIM", current=other))
        failed = w.control.failed
        w.control.disarm()
        if attempt.status in (200, 202) or w.kos.orders(line=s.line):
            return [f"ordered without a pre-check: {attempt} after a failure of the {n}th allocation, {name_of(w, failed)}"]
        if failed is None:
            print(f"refused in each of {n} ways", flush=True)
            return []
    return ["no end of allocations in one request"]


def warm_up(w):
    """Journeys without a failure. How many allocations one makes, where, and what is wrong already."""
    for _ in range(2):
        s, _ = one(w, 0)
        problems = look(w, [(s, None)])
        if problems:
            return 0, set(), problems
    w.control.forget_sites()  # those of the start
    s = w.subscriber()
    w.control.arm(0)
    first, held = journey(w, s)
    forwarded(w)
    if first.status != 200 or held.status != 202:
        return 0, set(), [f"the journey is none without a failure: {first} {held}"]
    return w.control.passed, w.control.sites, []


def run(w, options):
    total, places, problems = warm_up(w)
    if problems:
        return problems, set()
    print(f"a journey makes {total} allocations at {len(places)} places", flush=True)
    problems = refused_all_the_same(w)
    if problems:
        return problems, set()
    start, batch, failed, done, misses = time.monotonic(), [], set(), 0, 0
    for n, site in tasks(total, places, options):
        if options.seconds and time.monotonic() - start > options.seconds:
            break
        s, where = one(w, n, site)
        batch.append((s, where))
        done, misses = done + 1, misses + (where is None)
        failed |= {where} - {None}
        if len(batch) >= BATCH or not w.service.process.running() or w.slow:
            problems = look(w, batch)
            if problems:
                return [*problems, f"after a failure at one of {sorted({name_of(w, x) for _, x in batch if x})}"], failed
            batch = []
    problems = look(w, batch) if batch else []
    print(f"{done} journeys, in {done - misses} of them an allocation failed, at {len(failed & places)} of "
          f"{len(places)} places (and {len(failed - places)} more), {time.monotonic() - start:.0f} s", flush=True)
    if options.verbose:
        for site in sorted(places | failed):
            print(f"    {'failed' if site in failed else 'never '} {name_of(w, site)}")
    return problems, failed


def main():
    p = argparse.ArgumentParser(prog="allocations", description=__doc__)
    p.add_argument("--build", required=True)
    p.add_argument("--seconds", type=int, help="a sample: as many as fit into this time")
    p.add_argument("--seed", type=int, default=1, help="of the sample (1)")
    p.add_argument("--only", type=int, action="append", help="this allocation alone")
    p.add_argument("--verbose", action="store_true", help="name every place")
    options = p.parse_args()
    folder = tempfile.mkdtemp(prefix="pcs-allocations-", dir="/tmp")
    os.chmod(folder, 0o755)
    session = Session(os.path.abspath(options.build), folder)
    problems = []
    try:
        w = AllocationWorld(session)
        try:
            problems, failed = run(w, options)
            if not problems:
                w.service.close()  # ends with 0, the log is clean, nothing leaked
                if not failed:
                    problems.append("no allocation failed: this has shown nothing")
        except AssertionError as e:
            problems.append(str(e))
        finally:
            w.close()
    finally:
        session.close()
    for text in problems:
        print("FAILED " + text)
    if problems:
        print(f"kept: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
