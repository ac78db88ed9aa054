"""Prometheus and Grafana (issue 7, point 2): rules, dashboard, docs and the service's real metrics belong together."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest
import requests

from harness import ports
from harness.proc import Process, wait_until_up
from harness.wait import until

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
FILES = os.path.join(ROOT, "config", "observability")
DASHBOARD = os.path.join(FILES, "grafana", "dashboards", "product-change-service.json")
ENV = {"KOS_BREAKER_WINDOW": "10", "KOS_BREAKER_MINIMUM": "5", "KOS_BREAKER_WAIT": "60s"}


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def alerts():
    """name -> expression, taken apart as far as these tests need it."""
    text = read("config/observability/alerts.yaml")
    parts = re.split(r"^      - alert: (\w+)$", text, flags=re.M)[1:]
    return {name: re.search(r"expr: (\|\n(?:          .*\n)+|.*\n)", body).group(1) for name, body in zip(parts[::2], parts[1::2])}


def expressions():
    """What the dashboard asks, as Grafana would send it."""
    board = json.loads(read(DASHBOARD))
    found = [(p["title"], t["expr"]) for p in board["panels"] for t in p.get("targets", [])]
    found += [("annotation", a["expr"]) for a in board["annotations"]["list"] if "expr" in a]
    assert len(found) > 50
    return [(title, e.replace("$__rate_interval", "4s").replace("$instance", ".*")) for title, e in found]


@pytest.fixture(scope="module")
def prometheus(world):
    """Prometheus as Debian packages it, with our rules, scraping the service each second."""
    folder = os.path.join(world.folder, "prometheus")
    os.makedirs(folder)
    port = ports.take()
    shutil.copy(os.path.join(FILES, "alerts.yaml"), folder)
    with open(os.path.join(folder, "prometheus.yml"), "w", encoding="utf-8") as f:
        f.write("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [alerts.yaml]\nscrape_configs:\n"
                "  - job_name: product-change-service\n    static_configs:\n"
                f"      - targets: ['127.0.0.1:{world.service.port}']\n")
    process = Process(f"prometheus-{port}", ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
                                             f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"], folder,
                      {"PATH": os.environ["PATH"]}, cwd=folder)
    url = f"http://127.0.0.1:{port}"
    with requests.Session() as s:
        s.trust_env = False
        wait_until_up(process, lambda: s.get(url + "/-/ready", timeout=2).status_code == 200, seconds=30)
        yield lambda path, **params: s.get(url + path, params=params, timeout=10).json()
    process.stop(signal.SIGTERM, 20)


def test_the_alert_rules_are_valid_and_fire_when_they_have_to():
    for argv in (["promtool", "check", "rules", "alerts.yaml"], ["promtool", "test", "rules", "alerts.test.yaml"]):
        run = subprocess.run(argv, cwd=FILES, capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stdout + run.stderr


def test_every_alert_has_a_test_and_a_paragraph_that_ends_with_a_command():
    tested, docs = read("config/observability/alerts.test.yaml"), read("docs/operations.md")
    assert len(alerts()) >= 15
    for name in alerts():
        assert re.search(rf"alertname: {name}, exp_alerts:", tested), f"no test lets {name} fire"
        paragraph = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", docs, re.M | re.S)
        assert paragraph, f"docs/operations.md has no paragraph on {name}"
        assert paragraph.group(1).rstrip().endswith("```"), f"the paragraph on {name} does not end with a command"
    for name in re.findall(r"^### (Pcs\w+)$", docs, re.M):
        assert name in alerts(), f"docs/operations.md tells of {name}, which is no alert"


def test_the_manual_names_commands_and_metrics_that_exist(world):
    """Issue 7, point 7: at night nobody has the time to find out what a command is called by now."""
    text = read("docs/operations.md")
    known = set(re.findall(r"^  ([a-z][a-z-]+) ", world.run("--help").stdout, re.M))
    shown = ["".join(m) for m in re.findall(r"^```\n(.*?)^```|^    (\S[^\n]*)$", text, re.M | re.S)]
    used = set(re.findall(r"\bP ([a-z][a-z-]*)", "\n".join(shown)))
    assert len(used) >= 8 and used <= known, used - known
    metrics = set(re.findall(r"^# TYPE (pcs_\w+) ", requests.get(world.service.url + "/metrics", timeout=5).text, re.M))
    for name in set(re.findall(r"`(pcs_\w+)", text)) - {"service_setting"}:
        assert name in metrics or name.removesuffix("_sum").removesuffix("_count") in metrics, name


def test_rules_and_dashboard_ask_for_metrics_that_exist(world, customer):
    customer.change()
    text = requests.get(world.service.url + "/metrics", timeout=5).text
    known = set(re.findall(r"^# TYPE (\S+) ", text, re.M))
    labels = {}
    for name, inside in re.findall(r"^(\w+)\{(.*)\} ", text, re.M):
        for label, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', inside):
            labels.setdefault(re.sub("_(bucket|sum|count)$", "", name), {}).setdefault(label, set()).add(value)
    asked = list(alerts().items()) + expressions()
    for title, expression in asked:
        for name, inside in re.findall(r"\b((?:pcs|process)_\w+)(?:\{(.*?)\})?", expression):
            base = name if name in known else re.sub("_(bucket|sum|count)$", "", name)
            assert base in known, f"{title}: no metric {name}"
            for label, how, value in re.findall(r'(\w+)(=~|!~|!=|=)"(.*?)"', inside):
                if label in ("job", "instance"):
                    continue
                has = labels.get(base, {}).get(label, set())
                assert any(re.fullmatch(value, v) if "~" in how else v == value for v in has), f"{title}: {name} has no {label}{how}{value}: {has}"


def test_prometheus_answers_every_question_of_the_dashboard(world, prometheus, customer, kos):
    """Two scrapes with traffic between them: each expression is understood, and has an answer where there was traffic."""
    until(lambda: prometheus("/api/v1/query", query="up")["data"]["result"], 15, "first scrape")
    empty = set()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        customer.api.menu().expect(200)
        customer.api.get("/history").expect(200)
        customer.change("LTE_PLUS" if customer.product == "LTE_BASIC" else "LTE_BASIC")
        empty = set()
        for title, expression in expressions():
            answer = prometheus("/api/v1/query", query=expression)
            assert answer["status"] == "success", f"{title}: {expression}: {answer}"
            if not answer["data"]["result"]:
                empty.add(title)
        if empty <= MAY_BE_EMPTY:
            return
        time.sleep(0.3)
    raise AssertionError(f"no answer: {empty - MAY_BE_EMPTY}")


# Nothing has failed, so there is nothing to show.
MAY_BE_EMPTY = {"Breakers that are not closed", "Failure rate of the window", "annotation"}


def test_an_open_breaker_is_pending_as_an_alert_and_names_its_cause(world, prometheus, kos):
    kos.fault("http_status", operation="inquiry", status=500, body="out")
    while world.service.metric("pcs_breaker_state", breaker="kos.inquiry", state="OPEN") == 0:
        world.customer().api.get("/menu")
    until(lambda: any(a["labels"]["alertname"] == "PcsCarrierOut" and a["labels"]["breaker"] == "kos.inquiry" and a["state"] == "pending"
                      for a in prometheus("/api/v1/alerts")["data"]["alerts"]), 15, "PcsCarrierOut pending")
    cause = prometheus("/api/v1/query", query='pcs_breaker_last_cause{breaker="kos.inquiry"}')["data"]["result"]
    assert cause and cause[0]["metric"]["cause"] and abs(float(cause[0]["value"][1]) - time.time()) < 60


def test_every_breaker_is_in_the_metrics(world):
    """Issue 4, point 3: KOS's three, MVNO AP's and Redis'."""
    for name in ("kos.inquiry", "kos.list", "kos.change", "mvno", "redis"):
        assert world.service.metric("pcs_breaker_state", breaker=name) == 1


def test_every_metric_is_on_the_dashboard_or_told_in_the_docs(world):
    text = requests.get(world.service.url + "/metrics", timeout=5).text
    told = read(DASHBOARD) + read("docs/operations.md")
    missing = [name for name in re.findall(r"^# TYPE (pcs_\S+) ", text, re.M) if name not in told]
    assert not missing, f"neither on the dashboard nor in docs/operations.md: {missing}"


def test_the_compose_scrape_configuration_is_valid():
    run = subprocess.run(["promtool", "check", "config", os.path.join(FILES, "prometheus.yml")], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
