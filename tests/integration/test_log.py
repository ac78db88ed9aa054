"""The log's reader may be slow, or gone: customers must not notice (issue 4: isolation)."""

import json
import os
import subprocess
import threading
import time
import types

import requests

from harness import ports
from harness.service import SANITIZER_ENV, program
from harness.wait import until
from harness.world import World


def metric(url, name):
    for line in requests.get(url + "/metrics", timeout=5).text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError(name)


def test_a_log_that_nobody_reads_stops_nobody(session):
    """A full pipe: every answer comes, what is lost is counted, lines stay whole, and the end is in order."""
    w = World(session, start=False)
    reading, writing = os.pipe()
    port = ports.take()
    env = {"PATH": os.environ["PATH"], **SANITIZER_ENV, **w.env(LOG_LEVEL="trace", SERVER_PORT=port, SERVER_BIND="127.0.0.1")}
    os.makedirs(env["JOURNAL_PATH"], exist_ok=True)
    service = subprocess.Popen([program(w.build)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=writing, env=env)
    os.close(writing)
    url, lines = f"http://127.0.0.1:{port}", []
    w.service = types.SimpleNamespace(url=url)

    def up():
        try:
            return requests.get(url + "/health/ready", timeout=2).status_code == 200
        except requests.ConnectionError:
            return False

    try:
        until(up, 20, "ready, though nobody reads its log")
        c = w.customer()
        api = requests.Session()
        api.headers["Authorization"] = "Bearer " + c.token
        assert api.post(url + "/request", json=c.body(), timeout=9).status_code == 200
        slowest = 0
        for _ in range(4000):
            start = time.monotonic()
            assert api.get(url + "/menu", timeout=9).status_code == 200
            slowest = max(slowest, time.monotonic() - start)
            if metric(url, "pcs_log_dropped_total") > 100:
                break
        lost = metric(url, "pcs_log_dropped_total")
        assert lost > 100, "the pipe never filled"
        assert slowest < 3, slowest

        def read():
            with os.fdopen(reading, "rb") as f:
                lines.extend(f)

        reader = threading.Thread(target=read)
        reader.start()
        until(lambda: api.get(url + "/menu", timeout=9).status_code == 200, 5)
        until(lambda: any(b'"log.dropped"' in line for line in lines[-2000:]), 10, "all that was kept has gone out by itself, and the loss is told")
        service.terminate()
        assert service.wait(15) == 0
        reader.join(5)
        events = [json.loads(line) for line in lines]
        told = sum(e["lines"] for e in events if e["event"] == "log.dropped")
        assert told >= lost, (told, lost)
        assert events[0]["event"] == "start" and events[-1]["event"] == "shutdown.done"
    finally:
        if service.poll() is None:
            service.kill()
            service.wait()
        w.close()
