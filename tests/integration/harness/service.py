"""One instance of the service: the real binary, on a free port, with its log taken apart."""

import json
import os
import re
import signal
import time

import requests

from . import ports
from .proc import Process, wait_until_up

# A program that the service is run under, with its arguments (valgrind: ./dev check --full); everything takes longer then.
WRAPPER = os.environ.get("PCS_SERVICE_WRAPPER", "").split()
PATIENCE = 6 if WRAPPER else 1

# Every service that was started, newest last: what a failed test shows of them.
STARTED = []

FULL_LINE = re.compile(r"(?<![0-9A-Za-z-])010-?\d{4}-?\d{4}(?![0-9A-Za-z-])")

# Names of the customers that the tests and the simulators know.
NAMES = ("통합시험", "홍길동", "김영희", "이철수", "박민수")


def personal(text):
    """The first line number in full, customer id or name in a text that must have none (issue 5, point 9); None."""
    found = FULL_LINE.search(text) or re.search(r"CUST-\d+", text)
    return found.group(0) if found else next((n for n in NAMES if n in text), None)


def program(build):
    return os.path.join(build, "product-change-service")


class Service:
    """start() waits until it is ready (or live, where readiness is not to be had)."""

    def __init__(self, build, folder, env, name="service", config=None, ready=True):
        self.folder, self.name = folder, name
        self.port = int(env.get("SERVER_PORT") or ports.take())
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {**env, "SERVER_PORT": str(self.port), "SERVER_BIND": "127.0.0.1"}
        self.argv = WRAPPER + [program(build)] + (["--config", config] if config else [])
        self.starts = 0
        self.never_in_log = []  # secrets and tokens: looked for when it ends
        self.exit_code = None
        self.process = None
        self.logs_read = []
        STARTED.append(self)
        self.start(ready)

    def start(self, ready=True):
        self.starts += 1
        env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **SANITIZER_ENV, **self.env}
        self.process = Process(f"{self.name}-{self.port}-{self.starts}", self.argv, self.folder, env)
        self.logs_read.append(self.process.log_path)
        probe = "/health/ready" if ready else "/health/live"
        with requests.Session() as s:
            s.trust_env = False
            wait_until_up(self.process, lambda: s.get(self.url + probe, timeout=2).status_code == 200, seconds=20 * PATIENCE)

    # --- its end ---

    def stop(self, seconds=15):
        """SIGTERM: has to end with 0, and the log has to be clean."""
        self.check_metrics()
        code = self.process.stop(signal.SIGTERM, seconds * PATIENCE)
        self.check_log()
        assert code == 0, f"{self.name} ended with {code} at SIGTERM:\n{self.process.log()[-3000:]}"

    def kill9(self):
        self.process.kill()
        self.check_log(torn=True)

    def restart(self):
        self.stop()
        self.start()

    def close(self):
        if self.process.running():
            self.stop()

    # --- its log ---

    def lines(self):
        """Every event of this start, as it was logged."""
        out = []
        for line in self.process.log().splitlines():
            try:
                out.append(json.loads(line))
            except ValueError:
                pass
        return out

    def events(self, name, **members):
        return [e for e in self.lines() if e.get("event") == name and all(e.get(k) == v for k, v in members.items())]

    def check_log(self, torn=False):
        marks = self.process.crash_marks()
        assert not marks, f"{self.name}: " + "\n".join(marks) + "\n" + self.process.log()[-6000:]
        text = self.process.log()
        lines = text.splitlines()
        for n, line in enumerate(lines):
            try:
                event = json.loads(line)
            except ValueError:
                if torn and n == len(lines) - 1:
                    continue
                raise AssertionError(f"{self.name}: a line that is no JSON: {line[:300]!r}") from None
            assert isinstance(event, dict) and {"time", "level", "event"} <= event.keys(), line[:300]
        found = FULL_LINE.search(text)
        assert not found, f"{self.name}: a line number in full: {text[max(0, found.start() - 200):found.end() + 50]}"
        for name in NAMES:
            assert name not in text, f"{self.name}: a customer's name in the log: {text[max(0, text.find(name) - 200):][:260]}"
        for secret in self.never_in_log:
            assert secret not in text, f"{self.name}: a secret or a token in the log: {secret[:20]}…"

    def check_metrics(self):
        """Nothing of a customer, no secret and no token in what everybody may read."""
        with requests.Session() as s:
            s.trust_env = False
            try:
                text = s.get(self.url + "/metrics", timeout=5).text
            except requests.RequestException:
                return  # stopped, or too busy: nobody has read anything
        assert not personal(text), f"{self.name}: {personal(text)} in the metrics"
        assert not [s for s in self.never_in_log if s in text], f"{self.name}: a secret or a token in the metrics"

    def metric(self, name, **labels):
        """Sum of the samples of that name whose labels contain these."""
        with requests.Session() as s:
            s.trust_env = False
            text = s.get(self.url + "/metrics", timeout=5).text
        total, seen = 0.0, False
        for line in text.splitlines():
            m = re.match(r"([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)$", line)
            if m and m.group(1) == name and all(f'{k}="{v}"' in (m.group(2) or "") for k, v in labels.items()):
                total += float(m.group(3))
                seen = True
        assert seen, f"no metric {name} {labels}"
        return total

    def wait_log(self, name, seconds=5, **members):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.events(name, **members)
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"no event {name} {members} in the log:\n{self.process.log()[-2000:]}")


SANITIZER_ENV = {
    "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0:exitcode=99"),
    "UBSAN_OPTIONS": os.environ.get("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1"),
    "TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", "exitcode=98"),
    **({"LSAN_OPTIONS": os.environ["LSAN_OPTIONS"]} if "LSAN_OPTIONS" in os.environ else {}),
}
