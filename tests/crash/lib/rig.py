"""A world whose service may die at any moment: it is armed, killed and started again, and every request that
its customers made is written down, answered or not."""

import http.client
import itertools
import json
import os
import signal
import sys
import threading
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "integration"))
sys.dont_write_bytecode = True

from harness import client, servers, tokens  # noqa: E402
from harness.proc import wait_until_up  # noqa: E402
from harness.service import Service  # noqa: E402
from harness.sims import Kos  # noqa: E402
from harness.wait import until  # noqa: E402
from harness.world import Session, World  # noqa: E402

PRODUCTS = ["5GX_PREMIUM", "5GX_STANDARD", "5GX_BASIC", "LTE_PLUS", "LTE_BASIC", "LTE_SLIM"]
HOLD_MS = 12000  # a line's claim between instances before its intent (DESIGN.md, Claim before read)

# Short times, so that a doubt is over within seconds; the rules are the same.
TIMES = {
    "LIMITS_RATE": "0",
    "KOS_SETTLE_HORIZON": "1500ms",
    "CHANGE_SETTLE_FIRST": "50ms",
    "CHANGE_SETTLE_MAX": "200ms",
    "CHANGE_DEADLINE": "6s",
    "KOS_INQUIRY_DEADLINE": "700ms",
    "KOS_LIST_DEADLINE": "700ms",
    "KOS_CHANGE_DEADLINE": "700ms",
    "REDIS_DEADLINE": "300ms",
    "MVNO_DEADLINE": "700ms",
    "MVNO_CONNECT_TIMEOUT": "500ms",
    "MVNO_PROBE": "200ms",
    "MVNO_BREAKER_WAIT": "50ms",
}


class Postgres(servers.Postgres):
    """Its folder has a name of its own: a tidy-up of the integration tests' folders must not take it away."""

    def __init__(self, folder):
        make, servers.tempfile.mkdtemp = servers.tempfile.mkdtemp, lambda **_: make(prefix="pcs-crash-postgres-", dir="/tmp")
        try:
            super().__init__(folder)
        finally:
            servers.tempfile.mkdtemp = make


servers.Postgres = Postgres


class Attempt:
    """One POST of a customer: what was asked, and what the customer heard (status None: nothing)."""

    def __init__(self, line, intent, body, key, family, asynchronous):
        self.line, self.intent, self.body, self.key = line, intent, body, key
        self.family, self.asynchronous = family, asynchronous
        self.x_request_id = f"crash-{uuid.uuid4()}"
        self.status = self.reply = None

    @property
    def request_id(self):
        if self.status is None:
            return None
        if self.status < 300:
            return self.reply.data["requestId"]
        return self.reply.error.get("requestId")

    @property
    def code(self):
        return self.reply.code if self.status and self.status >= 400 else None

    def nothing_ordered(self):
        """Was the customer told that this request ordered nothing?"""
        return self.status is not None and self.status >= 400 and self.code != "CHANGE_DENIED"

    def __repr__(self):
        return f"<{self.line} {self.intent} {self.body['currentProductCode']}>{self.body['targetProductCode']} {self.reply}>"


class Told:
    """What a look-up said: a state that is final must never be contradicted."""

    def __init__(self, request_id, result):
        self.request_id, self.result = request_id, result


class CrashService(Service):
    """May end by itself while it starts; its death is noticed, not an error."""

    def boot(self, seconds=20):
        """True: ready. False: it died on the way (a failpoint)."""
        try:
            self.start()
            return True
        except AssertionError:
            if self.process.running():
                self.process.kill()
                raise
            self.note_death()
            return False

    def dead(self):
        return not self.process.running()

    def note_death(self):
        code = self.process.popen.wait(10)
        self.process._log.close()
        assert code == -signal.SIGKILL, f"{self.name} ended with {code}, not by SIGKILL:\n{self.process.log()[-3000:]}"
        self.check_log(torn=True)

    def wait_dead(self, seconds):
        return self.process.wait(seconds) is not None

    def kill9(self):
        if self.process.running():
            self.process.popen.send_signal(signal.SIGKILL)
            self.process.popen.wait(10)
        self.note_death()


class CrashWorld(World):
    def __init__(self, session, env=None, kos_dedup=False, own_postgres=False, preload=None, ready=True):
        super().__init__(session, env={**TIMES, **(env or {})}, own_redis=True, own_postgres=own_postgres,
                         start=False, kos_dedup=kos_dedup)
        self.kos.close()
        self.kos = Kos(self.build, self.folder, dedup=kos_dedup, state=os.path.join(self.folder, "kos.state"))
        self.journals_left = set()  # directories that a service has changed for another
        self.arm_file = os.path.join(self.folder, "failpoint")
        self.shim_file = os.path.join(self.folder, "shim")
        self.preload = {"LD_PRELOAD": os.path.join(self.build, "crash", preload + ".so"),
                        preload.upper(): self.shim_file} if preload else {}
        self.attempts, self.told, self.kos_calls = [], [], {}
        self.book = threading.Lock()
        self.numbers = itertools.count(1)
        self.service = self.make_service("service", ready=ready)

    # --- instances ---

    def make_service(self, name, ready=True, **env):
        full = self.env(PCS_FAILPOINT=f"@{self.arm_file}", **{**self.preload, **env})
        os.makedirs(full["JOURNAL_PATH"], exist_ok=True)
        service = CrashService(self.build, self.folder, full, name, None, ready)
        service.never_in_log = self.issued
        self.services.append(service)
        return service

    def arm(self, text):
        """name:n, or `trace path`; every arming counts from zero."""
        if not text.startswith("trace "):
            text = f"{text if ':' in text else text + ':1'} #{next(self.numbers)}"
        with open(self.arm_file + ".new", "w") as f:
            f.write(text + "\n")
        os.rename(self.arm_file + ".new", self.arm_file)

    def set_shim(self, text):
        """What the preloaded library is told; None: to do nothing."""
        if text is not None:
            with open(self.shim_file + ".new", "w") as f:
                f.write(text)
            os.rename(self.shim_file + ".new", self.shim_file)
        elif os.path.exists(self.shim_file):
            os.unlink(self.shim_file)

    def break_fsync(self):
        self.set_shim("")

    def mend_fsync(self):
        self.set_shim(None)

    def disarm(self):
        if os.path.exists(self.arm_file):
            os.unlink(self.arm_file)

    # --- neighbours that die ---

    def note_kos_calls(self):
        """kos-sim forgets calls when it ends; its orders stay."""
        if self.kos.process.running():
            for call in self.kos.calls(operation="change"):
                self.kos_calls[call["headers"].get("X-Request-ID"), call["requestId"]] = call

    def kill_kos(self):
        self.note_kos_calls()
        self.kos.process.kill()

    def kill_mvno(self):
        self.mvno.process.kill()

    def heal(self):
        """Every neighbour runs, none has a fault."""
        for server in (self.kos, self.mvno, self.redis, self.postgres):
            if not server.process.running():
                server.start()
            server.process.signal(signal.SIGCONT)
        self.kos.clear()
        self.mvno.clear()

    # --- what customers do ---

    def ask(self, method, path, token, body=None, service=None, timeout=15, check=True, **headers):
        """The answer, or None when there was none (refused, reset, cut off)."""
        headers = {k.replace("_", "-"): v for k, v in headers.items() if v is not None}
        headers["Authorization"] = f"Bearer {token}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", (service or self.service).port, timeout=timeout)
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            raw = answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        found = client.requests.structures.CaseInsensitiveDict(answer.headers.items())
        reply = client.Reply(answer.status, found, raw)
        if check:
            client.check_reply(reply, method, path, {k.lower(): v for k, v in headers.items()})
        return reply

    def token(self, **claims):
        """Issued a while ago, so that a clock that is set back does not make it one of the future."""
        return super().token(**{"iat": int(time.time()) - 7200, "exp": int(time.time()) + 7200, **claims})

    def subscriber(self, product="LTE_BASIC"):
        return Subscriber(self, self.customer(product))

    # --- looking at it ---

    def pending(self, service=None):
        s = service or self.service
        return s.metric("pcs_journal_pending") + s.metric("pcs_journal_open")

    def quiet(self, seconds=30, left_open=0, service=None):
        """Nothing is open and nothing waits to be forwarded (but so many that an operator has to decide)."""
        s = service or self.service

        def still():
            # twice: gauges are not read at one instant, and a refusal may be recorded after its answer
            if self.pending(s) != left_open or not self.neighbours_up(s):
                return False
            time.sleep(0.04)
            return self.pending(s) == left_open
        try:
            until(still, seconds, "quiet", 0.03)
        except AssertionError:
            text = self.ask("GET", "/metrics", "-", service=s, check=False).text
            waits = [line for line in text.splitlines() if line.startswith(("pcs_journal_pending", "pcs_journal_open"))]
            raise AssertionError(f"not settled, forwarded and delivered within {seconds} s: {waits}") from None

    def neighbours_up(self, service):
        """Redis and PostgreSQL, as the service sees them: after an outage it needs a moment to find them again."""
        reply = self.ask("GET", "/health/ready", "-", service=service, check=False)
        seen = reply.json.get("neighbours", {}) if reply else {}
        return seen.get("redis") == "UP" and seen.get("postgresql") == "UP"

    def expire_claims(self):
        """Claims of changes that died before their intent end by themselves after 12 s: checked, and made to."""
        for key in self.cache.keys("pcs:line:*"):
            id_, ttl = self.cache.get(key), self.cache.pttl(key)
            if id_ is None or self.known(id_.decode()):
                continue
            if ttl == -2:
                continue  # it has just ended by itself
            assert 0 < ttl <= HOLD_MS, f"{key} is held by a change that nobody knows for another {ttl} ms"
            self.cache.delete(key)

    def known(self, request_id):
        admin = self.token(sub="admin", role="ADMIN")
        for service in self.services:
            if not service.dead():
                reply = self.ask("GET", f"/request/{request_id}", admin, service=service)
                if reply and reply.status == 200:
                    return True
        return False

    def forget_cached(self, line):
        """The line was changed at KOS behind the service's back: what is cached of it is old, as it may be."""
        for key in self.cache.keys(f"pcs:customer:*{line}"):
            self.cache.delete(key)

    def close(self):
        """Ends what runs. What was wrong has been said by then."""
        self.disarm()
        for service in self.services:
            service.process.signal(signal.SIGCONT)
            service.process.kill()
        for server in (self.kos, self.mvno, self.redis):
            server.process.signal(signal.SIGCONT)
            server.process.kill()
        if self.own[1]:
            self.postgres.process.signal(signal.SIGCONT)
            self.postgres.close()


class Subscriber:
    """A customer with one line, who remembers every request."""

    def __init__(self, world, customer):
        self.w, self.line, self.token = world, customer.line, customer.token
        self.intents = 0
        self.lock = threading.Lock()

    def intent(self):
        with self.lock:
            self.intents += 1
            return f"{self.line}/{self.intents}"

    def product(self):
        return self.w.kos.product_of(self.line)

    def change(self, target, current=None, key=None, asynchronous=False, family="core", intent=None, service=None,
               timeout=15):
        """POST; the attempt, with its answer if there was one."""
        body = {"lineNumber": self.line, "currentProductCode": current or self.product(), "targetProductCode": target}
        a = Attempt(self.line, intent or self.intent(), body, key, family, asynchronous)
        with self.w.book:
            self.w.attempts.append(a)
        reply = self.w.ask("POST", client.FAMILIES[family]["request"], self.token, body, service, timeout,
                           X_Request_ID=a.x_request_id, Idempotency_Key=key,
                           Prefer="respond-async" if asynchronous else None)
        a.reply, a.status = reply, reply.status if reply else None
        return a

    def again(self, attempt, service=None):
        """The same request once more, under the same Idempotency-Key."""
        return self.change(attempt.body["targetProductCode"], attempt.body["currentProductCode"], attempt.key,
                           attempt.asynchronous, attempt.family, attempt.intent, service)

    def result(self, request_id, wait=None, service=None, family="core"):
        """GET of a change; None when it could not be asked."""
        path = f"{client.FAMILIES[family]['request']}/{request_id}" + (f"?wait={wait}" if wait else "")
        reply = self.w.ask("GET", path, self.token, service=service, timeout=40)
        if reply and reply.status == 200:
            with self.w.book:
                self.w.told.append(Told(request_id, reply.data))
        return reply

    def cancel(self, request_id, service=None):
        reply = self.w.ask("DELETE", f"/request/{request_id}", self.token, service=service)
        if reply and reply.status == 200:
            with self.w.book:
                self.w.told.append(Told(request_id, reply.data))
        return reply

    def menu(self, service=None):
        return self.w.ask("GET", "/menu", self.token, service=service)

    def final(self, request_id, seconds=15, service=None):
        """Waits for the end of a change; its Result."""
        def look():
            reply = self.result(request_id, wait=1, service=service)
            assert reply is not None and reply.status == 200, f"{request_id}: {reply!r}"
            return reply.data if reply.data["processStatus"] in ("COMPLETED", "FAILED") else None
        return until(look, seconds, f"end of {request_id}")


def start_thread(target, *args):
    t = threading.Thread(target=target, args=args, daemon=True)
    t.start()
    return t


def pause(seconds):
    """For what has to last: a process that is stopped across a deadline, a load."""
    time.sleep(seconds)


__all__ = ["Attempt", "CrashWorld", "HOLD_MS", "PRODUCTS", "Session", "Subscriber", "TIMES", "pause", "start_thread",
           "tokens", "until", "wait_until_up"]
