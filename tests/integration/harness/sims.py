"""The simulators of tests/sim: started on a port of their own, driven over their control paths."""

import json
import os
import urllib.parse

import requests

from . import ports
from .proc import Process, wait_until_up
from .wait import until

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "..", "..", "sim", "data")


class Simulator:
    program = None

    def __init__(self, build, folder, argv, env=None):
        self.build, self.folder = build, folder
        self.port = ports.take()
        self.url = f"http://127.0.0.1:{self.port}"
        self.argv = argv
        self.env = {**os.environ, **(env or {})}
        self.http = requests.Session()
        self.http.trust_env = False
        self.process = None
        self.start()

    def start(self):
        program = os.path.join(self.build, "tests", self.program)
        self.process = Process(f"{self.program}-{self.port}", [program, "--port", str(self.port), *self.argv],
                               self.folder, self.env)
        wait_until_up(self.process, lambda: self.http.get(f"{self.url}/_sim/stats", timeout=2).status_code == 200)

    def stop(self):
        code = self.process.stop(seconds=10)
        assert code == 0, f"{self.program} ended with {code}:\n{self.process.log()[-2000:]}"

    def close(self):
        if self.process.running():
            self.stop()
        assert not self.process.crash_marks(), self.process.crash_marks()

    def control(self, method, path, body=None, **query):
        query = {k: v for k, v in query.items() if v is not None}
        url = f"{self.url}/_sim/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        answer = self.http.request(method, url, data=data, headers={"Content-Type": "application/json"}, timeout=10)
        assert answer.status_code < 300, f"{method} {url} {body}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def stats(self):
        return self.control("GET", "stats")

    def fault(self, kind, **members):
        """Switches a fault on; its number."""
        return self.control("POST", "faults", {"kind": kind, **members})["id"]

    def faults(self):
        return self.control("GET", "faults")

    def clear(self, fault=None):
        """Takes a fault (default: all) away and lets go what it holds."""
        self.release(fault)
        if fault is None:
            self.control("DELETE", "faults")

    def release(self, fault=None, **members):
        return self.control("POST", "faults/release", {**({"id": fault} if fault else {"all": True}), **members})

    def waiting(self, fault):
        """How many a gate or a hang holds now."""
        for f in self.faults().get("faults", []):
            if f["id"] == fault:
                return f["waiting"]
        return 0

    def wait_held(self, fault, count=1, seconds=5):
        until(lambda: self.waiting(fault) >= count, seconds, f"{count} held by fault {fault}")


class Kos(Simulator):
    program = "kos-sim"

    def __init__(self, build, folder, dedup=False, state=None):
        argv = ["--data", os.path.join(DATA, "kos.json")]
        argv += ["--dedup"] if dedup else []
        argv += ["--state", state] if state else []
        super().__init__(build, folder, argv)

    def customer(self, line, **members):
        return self.control("PUT", f"customers/{line}", members)

    def product_of(self, line):
        return self.control("GET", f"customers/{line}").get("productCode")

    def product(self, code, **members):
        return self.control("PUT", f"products/{code}", members)

    def calls(self, operation=None, line=None, request_id=None):
        return self.control("GET", "calls", operation=operation, lineNumber=line, requestId=request_id,
                            limit=10000)["calls"]

    def orders(self, line=None, request_id=None, applied=None):
        return self.control("GET", "orders", lineNumber=line, requestId=request_id,
                            applied="true" if applied else None, limit=10000)["orders"]

    def settings(self, **members):
        return self.control("PUT", "settings", members)


class Mvno(Simulator):
    program = "mvno-sim"
    secret = "webhook-secret-of-the-integration-tests"

    def __init__(self, build, folder, secret=None):
        self.secret = secret or self.secret
        super().__init__(build, folder, ["--state", os.path.join(folder, f"mvno-{os.urandom(4).hex()}.jsonl")],
                         {"MVNO_WEBHOOK_SECRET": self.secret})

    def events(self, line=None, request_id=None):
        return self.control("GET", "events", lineNumber=line, requestId=request_id, limit=10000)["events"]

    def attempts(self, webhook_id=None):
        return self.control("GET", "attempts", webhookId=webhook_id)["attempts"]

    def event(self, request_id, seconds=5):
        """The one event of a change, waited for."""
        return until(lambda: self.events(request_id=request_id), seconds, f"event of {request_id}")[0]


class Auth(Simulator):
    program = "auth-sim"

    def __init__(self, build, folder, secret):
        super().__init__(build, folder, ["--data", os.path.join(DATA, "users.json")], {"JWT_SECRET": secret})

    def login(self, user, password="password1!"):
        answer = self.http.post(f"{self.url}/api/v1/auth/login", json={"userId": user, "password": password}, timeout=5)
        assert answer.status_code == 200, answer.text
        return answer.json()
