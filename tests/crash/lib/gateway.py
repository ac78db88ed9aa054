"""Two instances behind the real gateway (nginx, config/gateway), on one Redis and one PostgreSQL, with slots of one
journal directory: both loaded with changes of the same lines, one of them killed or scaled down in mid-load, and retired."""

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
import traceback
from collections import Counter

from .invariants import check
from .rig import PRODUCTS, CrashWorld, Subscriber, pause, start_thread, tokens  # first: it makes the harness known
from .rounds import Client

from harness import ports  # noqa: E402
from harness.proc import Process, wait_until_up  # noqa: E402
from harness.service import SANITIZER_ENV, program  # noqa: E402
from harness.sims import DATA, Simulator  # noqa: E402

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
RENDER = '. dev.d/common.sh; . dev.d/gateway.sh; gateway_render "$@"'


class Auth(Simulator):
    """The auth service: the gateway's permission check, UFR-AUTH-020."""

    program = "auth-sim"

    def __init__(self, w):
        super().__init__(w.build, w.folder, ["--data", os.path.join(DATA, "users.json"), "--generate", "10000"],
                         {"JWT_SECRET": tokens.SECRET})


class Gateway:
    """nginx with the template that is shipped. Stands where a service stands: its port is asked."""

    name = "gateway"

    def __init__(self, w, *services):
        self.port = ports.take()
        self.auth = Auth(w)
        folder = os.path.join(w.folder, "gateway")
        os.makedirs(folder)
        asked = [self.port, folder, self.auth.port, *(s.port for s in services)]
        conf = subprocess.run(["bash", "-euc", RENDER, "render", *map(str, asked)], cwd=ROOT, check=True, text=True,
                              capture_output=True, env={**os.environ, "DEV_ROOT": ROOT, "PCS_GATEWAY_RATE": "100000"})
        path = os.path.join(folder, "nginx.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(conf.stdout)
        self.process = Process("nginx", ["nginx", "-p", folder + "/", "-e", os.path.join(folder, "error.log"), "-c", path],
                               w.folder, {**os.environ, "TZ": "UTC"})
        wait_until_up(self.process, lambda: w.ask("GET", "/healthz", "-", service=self, check=False).status == 200)

    def close(self):
        self.process.kill()
        self.auth.process.kill()


class GatewayWorld(CrashWorld):
    def __init__(self, session, **more):
        super().__init__(session, **more)
        self.users = itertools.count()
        self.second = self.make_service("second")
        self.gateway = Gateway(self, self.service, self.second)

    def subscriber(self, product="LTE_BASIC"):
        """A user that the auth service knows."""
        return Subscriber(self, self.customer(product, subject=f"gen{next(self.users):07d}"))

    def ask(self, method, path, token, body=None, service=None, timeout=15, check=True, **headers):
        """Through the gateway, the core family is below /product. What it does not know is no answer."""
        if not isinstance(service, Gateway):
            return super().ask(method, path, token, body, service, timeout, check, **headers)
        if not path.startswith(("/api/", "/healthz")):
            path = "/product" + path
        reply = super().ask(method, path, token, body, service, timeout, False, **headers)
        if reply is not None and reply.status >= 500 and reply.code == "RESULT_UNKNOWN":
            return None
        return reply

    def retire(self, slot, wait=60):
        run = self.run("retire", "--slot", str(slot), "--wait", str(wait), env=self.second.env, timeout=wait + 60)
        if run.returncode or f"slot {slot}: retired" not in run.stdout:
            return [f"retire ended with {run.returncode}: {run.stdout[-800:]} {run.stderr[-800:]}"]
        return []

    def slots(self):
        run = self.run("slots", "--json", "--slot", "0", env=self.service.env)
        return {s["slot"]: s for s in json.loads(run.stdout)["slots"]}

    def close(self):
        self.gateway.close()
        super().close()


def world(session):
    w = GatewayWorld(session, env={"KOS_SETTLE_HORIZON": "3s", "SERVER_PUBLIC_PREFIX": "/product"})
    w.kos.fault("delay", operation="change", phase="before", delayMs=20, jitterMs=60)
    w.kos.fault("applied_no_answer", operation="change", rate=0.05)
    return w


def load(w, lines, seed, during):
    """Every client has every line: most through the gateway, which sends a line to one instance for as long as it lives,
    some past it, so that both have the same lines at the same time. during() runs meanwhile. What went wrong."""
    stop, rng = threading.Event(), random.Random(seed)
    doors = [w.gateway] * 6 + [w.service, w.second] * 2
    workers = [Client(random.Random(rng.getrandbits(64)), lines, stop, door) for door in doors]
    threads = [start_thread(c.run) for c in workers]
    try:
        problems = during()
    finally:
        stop.set()
    for t in threads:
        t.join(40)
    return problems + [e for c in workers for e in c.errors] + ["a client hangs" for t in threads if t.is_alive()]


def finish(w, lines):
    """One is left. All is told, and by both slots' chains."""
    w.kos.clear()
    w.heal()
    w.quiet(45)
    problems = check(w, lines)
    rows = w.db.rows("SELECT instance, count(*) AS n FROM product_change.product_change_history GROUP BY 1")
    if len(rows) != 2 or min(r["n"] for r in rows) < 5:
        problems.append(f"both instances were to be loaded: {rows}")
    slot = w.slots().get(1, {})
    left = {k: slot.get(k) for k in ("open", "historyPending", "callsPending", "linksPending", "eventsPending", "invalidations")}
    if slot.get("state") != "retired" or any(left.values()):
        problems.append(f"slot 1 is {slot}")
    return problems


def killed_in_mid_load_and_retired(w, seed):
    """kill -9 of one in mid-load; its slot is emptied by command while the other goes on under load."""
    lines, rng = [w.subscriber(p) for p in PRODUCTS * 2], random.Random(seed)

    def during():
        pause(rng.uniform(1.2, 2.0))
        w.second.kill9()
        pause(rng.uniform(0.2, 1.0))
        problems = w.retire(1)
        pause(0.7)
        return problems
    return load(w, lines, seed, during) + finish(w, lines)


def scaled_down_in_mid_load(w, seed):
    """A running instance is retired in mid-load: it ends by itself with 0, nothing was lost."""
    lines, rng = [w.subscriber(p) for p in PRODUCTS * 2], random.Random(seed)

    def during():
        pause(rng.uniform(1.2, 2.0))
        problems = w.retire(1)
        code = w.second.process.wait(20)
        if code != 0:
            problems.append(f"the retired instance ended with {code}")
        w.second.check_log()
        pause(0.7)
        return problems
    return load(w, lines, seed, during) + finish(w, lines)


def retiring_is_killed_again_and_again(w, seed):
    """kill -9 of the command and of the process that it started, at random moments; the last one finishes."""
    lines, rng = [w.subscriber(p) for p in PRODUCTS * 2], random.Random(seed)

    def during():
        pause(rng.uniform(1.2, 2.0))
        w.mvno.fault("delay", delayMs=30, jitterMs=60)
        w.second.kill9()
        env = {"PATH": os.environ["PATH"], **SANITIZER_ENV, **w.second.env}
        for _ in range(6):
            p = subprocess.Popen([program(w.build), "retire", "--slot", "1"], env=env, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, start_new_session=True)
            pause(rng.uniform(0.02, 0.5))
            os.killpg(p.pid, signal.SIGKILL)
            p.wait(10)
        w.mvno.clear()
        return w.retire(1)
    return load(w, lines, seed, during) + finish(w, lines)


TRIALS = [killed_in_mid_load_and_retired, scaled_down_in_mid_load, retiring_is_killed_again_and_again]


def names(quick):
    return [t.__name__ for t in TRIALS[:1 if quick else None]]


def run(session, name, seed):
    """(problems, counts or why it was skipped, seconds)"""
    started = time.monotonic()
    if not shutil.which("nginx"):
        return [], "there is no nginx", time.monotonic() - started
    w, problems, counts = None, [], None
    try:
        w = world(session)
        problems = next(t for t in TRIALS if t.__name__ == name)(w, seed)
        counts = Counter(f"answered {a.status}" for a in w.attempts)
    except Exception as e:
        problems = [f"{type(e).__name__}: {e}", traceback.format_exc(limit=-6)]
    finally:
        if w:
            w.close()
    if w and problems:
        problems.append(f"logs: {w.folder}")
    elif w:
        shutil.rmtree(w.folder, ignore_errors=True)
    return problems, counts, time.monotonic() - started

