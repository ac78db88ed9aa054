"""The operator's API and commands (issue 3: points 1, 2, 5, 6; issue 4: point 3; issue 5: point 7)."""

import json
import os
import secrets
import socket
import stat
import subprocess
import time
import uuid

import pytest
import requests

from harness import ports
from harness.admin import Admin, socket_of
from harness.service import program
from harness.wait import stays, until

TOKEN = secrets.token_hex(20)
ENV = {
    "KOS_CHANGE_DEADLINE": "500ms",
    "CHANGE_SETTLE_FIRST": "100ms",
    "CHANGE_SETTLE_MAX": "300ms",
    "KOS_SETTLE_HORIZON": "10m",
    "CHANGE_DEADLINE": "6s",
    "MVNO_DEADLINE": "500ms",
    "MVNO_CONNECT_TIMEOUT": "300ms",
    "MVNO_PROBE": "200ms",
    "MVNO_BREAKER_WAIT": "100ms",
    "LIMITS_RATE": 0,
}


@pytest.fixture
def admin(world):
    return Admin(socket_of(world.service))


@pytest.fixture
def doubtful(world, customer, kos):
    """A customer with a change in doubt: the order was refused with 500 and nothing was applied."""
    kos.fault("http_status", operation="change", lineNumber=customer.line, status=500, count=1)
    id_ = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    until(lambda: customer.api.result(id_).data.get("inDoubt"), 3)
    customer.doubt = id_
    return customer


def command(world, *argv, rc=0, **env):
    run = world.run(*argv, env={**world.env(), **env})
    assert run.returncode == rc, f"{argv}: {run.returncode}\n{run.stdout}\n{run.stderr}"
    return run


# --- who may come in ---


def test_socket_is_for_its_owner_only(world):
    path = socket_of(world.service)
    mode = os.stat(path)
    assert stat.S_ISSOCK(mode.st_mode) and stat.S_IMODE(mode.st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


def as_nobody(path, request):
    """Sends a request over the socket as the user nobody; its answer."""
    code = ("import os,socket,sys\nos.setgid(65534); os.setuid(65534)\ns=socket.socket(socket.AF_UNIX)\n"
            "s.settimeout(5); s.connect(sys.argv[1]); s.sendall(sys.argv[2].encode())\n"
            "print(s.makefile('rb').read().decode())")
    return subprocess.run(["/usr/bin/python3", "-c", code, path, request], capture_output=True, text=True, timeout=20)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_peer_credentials_are_asked_though_the_socket_can_be_reached(world, session):
    folder = os.path.join(session.folder, f"open-{os.getpid()}")
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o755)
    path = os.path.join(folder, "admin.sock")
    service = world.start_service("peers", ADMIN_SOCKET=path)
    try:
        assert Admin(path).get("/admin/status").status == 200  # root
        refused = as_nobody(path, "GET /admin/status HTTP/1.1\r\nHost: x\r\n\r\n")
        assert refused.returncode != 0 and "Permission" in refused.stderr, "0600 keeps others out"
        os.chmod(path, 0o666)
        answer = as_nobody(path, "GET /admin/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.stdout.startswith("HTTP/1.1 403 ") and "FORBIDDEN" in answer.stdout, answer
    finally:
        service.stop()
    assert not os.path.exists(path), "the socket goes with the service"


def tcp(world, tmp_path, name, **env):
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    port = ports.take()
    service = world.start_service(name, ADMIN_PORT=port, ADMIN_TOKEN_FILE=str(token), **env)
    service.never_in_log = [*world.issued, TOKEN]
    return service, f"http://127.0.0.1:{port}", token


def ask(url, token=TOKEN, **headers):
    headers = {k.replace("_", "-"): v for k, v in headers.items()}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    with requests.Session() as s:
        s.trust_env = False
        return s.get(url, headers=headers, timeout=10)


def test_tcp_wants_its_own_token_and_a_host_of_its_own(world, tmp_path, customer):
    service, url, token = tcp(world, tmp_path, "tcp")
    try:
        status = url + "/admin/status"
        assert ask(status).status_code == 200
        for bad in (None, "x" * 40, TOKEN[:-1], TOKEN + "x", customer.token):
            answer = ask(status, bad)
            assert answer.status_code == 401 and answer.json()["error"]["code"] == "UNAUTHORIZED", bad
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        for host in ("evil.example", "evil.example:80", "10.0.0.1", "127.0.0.1.evil.example", "localhost.evil.example", "[::1", "localhost:x"):
            assert ask(status, Host=host).status_code == 403, host
        for host in ("localhost", "localhost:9", "LOCALHOST", "127.0.0.1"):
            assert ask(status, Host=host).status_code == 200, host
        # nothing of one on the other
        assert ask(service.url + "/admin/status").status_code == 404
        assert ask(service.url + "/admin/breakers").status_code == 404
        for path in ("/menu", "/metrics", "/health/ready", "/openapi.json"):
            assert ask(url + path).status_code == 404, path
        # another token by SIGHUP
        token.write_text("z" * 40)
        service.process.signal(1)
        service.wait_log("reload.done")
        assert ask(status).status_code == 401 and ask(status, "z" * 40).status_code == 200
        token.write_text("short")
        service.process.signal(1)
        service.wait_log("reload.admin_token_refused")
        assert ask(status, "z" * 40).status_code == 200, "the old one stays"
    finally:
        service.stop()


@pytest.mark.parametrize("env,named", [
    ({"ADMIN_PORT": "1"}, "admin.token_file"),
    ({"ADMIN_PORT": "1", "ADMIN_TOKEN_FILE": "/nowhere/token"}, "admin.token_file"),
    ({"ADMIN_PORT": "70000"}, "ADMIN_PORT"),
])
def test_bad_settings_are_named(world, env, named):
    run = world.run("--check-config", env={**world.env(), **env})
    assert run.returncode == 1 and named in run.stderr, run


def test_a_short_token_is_refused(world, tmp_path):
    token = tmp_path / "token"
    for text in ("x" * 31, "", "x" * 20 + " " + "x" * 20):
        token.write_text(text)
        run = world.run("--check-config", env={**world.env(), "ADMIN_PORT": "1", "ADMIN_TOKEN_FILE": str(token)})
        assert run.returncode == 1 and "admin.token_file" in run.stderr and "32" in run.stderr, run


@pytest.mark.parametrize("method,path,body,status,code", [
    ("GET", "/admin/nothing", None, 404, "NOT_FOUND"),
    ("DELETE", "/admin/status", None, 405, "METHOD_NOT_ALLOWED"),
    ("GET", "/admin/trace", None, 400, "INVALID_REQUEST"),
    ("GET", "/admin/trace?id=x", None, 400, "INVALID_REQUEST"),
    ("GET", "/admin/trace?id=01890000-0000-7000-8000-000000000000&line=01012345678", None, 400, "INVALID_REQUEST"),
    ("GET", "/admin/trace?line=123", None, 400, "INVALID_REQUEST"),
    ("GET", "/admin/trace?id=01890000-0000-7000-8000-000000000000", None, 404, "REQUEST_NOT_FOUND"),
    ("GET", "/admin/deliveries?state=lost", None, 400, "INVALID_REQUEST"),
    ("GET", "/admin/deliveries?limit=0", None, 400, "INVALID_REQUEST"),
    ("GET", "/admin/doubts?limit=1e3", None, 400, "INVALID_REQUEST"),
    ("PUT", "/admin/breakers/kos.nothing", {"action": "reset"}, 404, "BREAKER_NOT_FOUND"),
    ("PUT", "/admin/breakers/redis", {"action": "explode"}, 400, "INVALID_REQUEST"),
    ("PUT", "/admin/breakers/redis", {"action": 1}, 400, "INVALID_REQUEST"),
    ("PUT", "/admin/breakers/redis", {"action": "reset", "actor": "a\nb"}, 400, "INVALID_REQUEST"),
    ("PUT", "/admin/breakers/redis", b"{", 400, "INVALID_REQUEST"),
    ("PUT", "/admin/breakers/redis", b"[]", 400, "INVALID_REQUEST"),
    ("POST", "/admin/deliveries/0/replay", {}, 404, "EVENT_NOT_FOUND"),
    ("POST", "/admin/deliveries/x/replay", {}, 404, "EVENT_NOT_FOUND"),
    ("POST", "/admin/deliveries/999999/replay", {}, 404, "EVENT_NOT_FOUND"),
    ("POST", "/admin/deliveries/999999/replay", {"outOfOrder": 1}, 400, "INVALID_REQUEST"),
    ("POST", "/admin/changes/x/settle", {}, 404, "REQUEST_NOT_FOUND"),
    ("POST", "/admin/changes/01890000-0000-7000-8000-000000000000/settle", {}, 400, "INVALID_REQUEST"),
    ("POST", "/admin/changes/01890000-0000-7000-8000-000000000000/check", None, 404, "REQUEST_NOT_FOUND"),
])
def test_bad_requests_are_told(admin, method, path, body, status, code):
    admin(method, path, body).expect(status, code)


@pytest.mark.parametrize("body,field", [
    ({"actor": "a", "reason": "r"}, "outcome"),
    ({"outcome": "maybe", "actor": "a", "reason": "r"}, "outcome"),
    ({"outcome": "completed", "reason": "r"}, "actor"),
    ({"outcome": "completed", "actor": "a"}, "reason"),
    ({"outcome": "completed", "actor": "a" * 65, "reason": "r"}, "actor"),
    ({"outcome": "completed", "actor": "a", "reason": "r" * 201}, "reason"),
])
def test_settling_wants_an_outcome_an_actor_and_a_reason(admin, body, field):
    reply = admin.post(f"/admin/changes/{uuid.uuid4()}/settle", body, Accept_Language="en").expect(400, "INVALID_REQUEST")
    assert [f["field"] for f in reply.error["fields"]] == [field]


# --- status ---


def test_status_tells_how_it_is(world, admin, customer):
    customer.change()
    world.forwarded()
    s = admin.get("/admin/status").data
    assert s["status"] == "UP" and s["recovered"] is True and s["stopping"] is False
    assert s["neighbours"] == {"kos": "UP", "mvno": "UP", "redis": "UP", "postgresql": "UP"}
    assert s["service"]["slot"] == 0 and s["service"]["pid"] > 0 and s["service"]["uptimeSeconds"] >= 0
    assert s["journal"]["writable"] is True and s["journal"]["commits"] > 0 and s["journal"]["bytes"] > 0
    assert s["backlog"] == {"postgresql": {"rows": 0, "refused": s["backlog"]["postgresql"]["refused"], "calls": 0, "links": 0},
                            "mvno": {"events": 0, "dead": s["backlog"]["mvno"]["dead"], "oldestSeconds": 0},
                            "cache": {"invalidations": 0}}
    origins = {x["name"]: x["origin"] for x in s["settings"]}
    assert origins["jwt.secret"] == "environment" and "server.idle_timeout" not in origins
    text = json.dumps(s)
    for secret in world.issued[:4]:
        assert secret not in text
    assert "pcs_http_requests_total" in admin.get("/admin/metrics").text
    assert "status  " not in command(world, "status").stdout and "UP" in command(world, "status").stdout
    assert json.loads(command(world, "status", "--json").stdout)["status"] == "UP"


# --- breakers ---


def test_breaker_forced_open_is_503_and_back(world, admin, customer, kos):
    before = admin.breaker("kos.change")
    assert before["state"] == "CLOSED" and before["bulkhead"]["maxInFlight"] == 256
    orders = len(kos.calls("change"))
    changed = admin.switch("kos.change", "forced-open", actor="kim", reason="carrier asked").expect(200).data["breaker"]
    assert changed["state"] == "FORCED_OPEN"
    try:
        reply = customer.api.change(customer.body()).expect(503, "KOS_UNAVAILABLE")
        assert reply.error["message"] == "시스템 일시 장애, 잠시 후 재시도"
        assert len(kos.calls("change")) == orders and not kos.calls("inquiry", customer.line), "KOS is untouched"
        assert admin.get("/admin/status").data["status"] == "DEGRADED"
        logged = world.service.wait_log("breaker.operator", breaker="kos.change", action="forced-open")[0]
        assert logged["actor"] == "kim" and logged["reason"] == "carrier asked" and logged["from"] == "CLOSED"
    finally:
        admin.switch("kos.change", "reset").expect(200)
    customer.change()
    assert admin.breaker("kos.change")["state"] == "CLOSED"


def test_every_breaker_takes_every_action(admin):
    names = [b["name"] for b in admin.get("/admin/breakers").data["breakers"]]
    assert names == ["kos.inquiry", "kos.list", "kos.change", "mvno", "redis"]
    states = {"forced-open": "FORCED_OPEN", "disabled": "DISABLED", "metrics-only": "METRICS_ONLY", "closed": "CLOSED", "reset": "CLOSED"}
    for name in names:
        for action, state in states.items():
            assert admin.switch(name, action).expect(200).data["breaker"]["state"] == state
            assert admin.breaker(name)["state"] == state


def test_breaker_command(world, admin):
    out = command(world, "breakers", "kos.list", "disabled", "--reason", "test").stdout
    assert "kos.list" in out and "DISABLED" in out
    assert json.loads(command(world, "breakers", "--json").stdout)["breakers"][1]["state"] == "DISABLED"
    assert "CLOSED" in command(world, "breakers", "kos.list", "reset").stdout
    run = command(world, "breakers", "kos.list", "explode", rc=1)
    assert "action" in run.stderr
    command(world, "breakers", "kos.nothing", "reset", rc=1)
    command(world, "breakers", "kos.list", rc=2)


# --- doubts ---


def test_doubts_are_listed(world, admin, doubtful):
    id_ = doubtful.doubt
    until(lambda: admin.doubts()[id_]["checks"] >= 2, 3)
    d = admin.doubts()[id_]
    assert d["lineNumber"] == doubtful.line and d["currentProductCode"] == "LTE_BASIC" and d["targetProductCode"] == "LTE_PLUS"
    assert d["onOperatorList"] is False and "nextCheckAt" in d and "firstBaselineAt" in d
    until(lambda: world.service.metric("pcs_change_oldest_doubt_seconds") > 0, 3)
    out = command(world, "settle", "list").stdout
    assert id_ in out and doubtful.line in out
    admin.settle(id_, "not-applied").expect(200)
    assert id_ not in admin.doubts()


@pytest.mark.parametrize("outcome,status,code,kind", [
    ("completed", "COMPLETED", "0000", "product-change.completed"),
    ("not-applied", "FAILED", "NOT_APPLIED", "product-change.failed"),
])
def test_settled_by_hand(world, admin, doubtful, outcome, status, code, kind):
    """Event, history row with actor and reason, whoever waits is told, and the line is open again."""
    id_ = doubtful.doubt
    doubtful.api.change(doubtful.body()).expect(409, "CHANGE_IN_PROGRESS")
    record = admin.settle(id_, outcome, "kim", "seen at KOS's desk").expect(200).data["change"]
    assert record["actor"] == "kim: seen at KOS's desk" and record["state"] == ("COMPLETED" if outcome == "completed" else "NOT_APPLIED")
    final = doubtful.api.result(id_, wait=5).data
    assert final["processStatus"] == status and final["resultCode"] == code and "inDoubt" not in final
    event = world.mvno.event(id_)["body"]
    assert event["eventType"] == kind and event["resultCode"] == code
    row = world.row(id_)
    assert row["status"] == status and row["result_code"] == code and row["actor"] == "kim: seen at KOS's desk"
    logged = world.service.wait_log("change.settled_by_hand", requestId=id_)[0]
    assert logged["actor"] == "kim" and logged["reason"] == "seen at KOS's desk"
    admin.settle(id_, outcome).expect(409, "NOT_IN_DOUBT")
    admin.post(f"/admin/changes/{id_}/check").expect(409, "NOT_IN_DOUBT")
    if outcome == "not-applied":
        doubtful.change()
    stays(lambda: len(world.mvno.events(request_id=id_)) == 1, 0.5)


def test_a_poll_is_told_when_an_operator_settles(world, admin, doubtful):
    import threading
    seen = []
    waiter = threading.Thread(target=lambda: seen.append((doubtful.api.another().result(doubtful.doubt, wait=20), time.monotonic())))
    waiter.start()
    time.sleep(0.3)
    settled = time.monotonic()
    admin.settle(doubtful.doubt, "completed").expect(200)
    waiter.join(10)
    assert seen[0][0].data["processStatus"] == "COMPLETED" and seen[0][1] - settled < 2


def test_a_synchronous_caller_is_told_the_truth(world, admin, customer, kos):
    """The request is still waiting when the operator decides: 202 as it stood, and the result afterwards."""
    import threading
    kos.fault("http_status", operation="change", lineNumber=customer.line, status=500, count=1)
    seen = []
    caller = threading.Thread(target=lambda: seen.append(customer.api.another().change(customer.body())))
    caller.start()
    id_ = until(lambda: [d for d in admin.doubts().values() if d["lineNumber"] == customer.line], 3)[0]["requestId"]
    until(lambda: admin.settle(id_, "completed").status == 200, 3)
    caller.join(10)
    assert seen[0].status == 202 and seen[0].data["requestId"] == id_
    assert customer.api.result(id_).data["processStatus"] == "COMPLETED"


def test_an_order_under_way_is_not_settled(admin, customer, kos):
    gate = kos.fault("gate", operation="change", lineNumber=customer.line)
    id_ = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    kos.wait_held(gate)
    admin.settle(id_, "not-applied").expect(409, "NOT_IN_DOUBT")
    kos.clear(gate)
    customer.api.result(id_, wait=10)


def test_the_operators_list_is_settled_and_asked_again(world, admin, customer, kos):
    """A third product goes to the operator's list; KOS can be asked again, and then it settles by itself."""
    kos.fault("http_status", operation="change", lineNumber=customer.line, status=500, count=1)
    gate = kos.fault("gate", operation="inquiry", lineNumber=customer.line, phase="before")
    kos.release(gate)
    kos.clear(gate)
    id_ = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    until(lambda: id_ in admin.doubts(), 3)
    kos.customer(customer.line, productCode="5GX_STANDARD")
    until(lambda: admin.doubts()[id_]["onOperatorList"], 5)
    assert "nextCheckAt" not in admin.doubts()[id_]
    assert "waits for an operator" in command(world, "settle").stdout
    kos.customer(customer.line, productCode="LTE_PLUS")
    stays(lambda: customer.api.result(id_).data["processStatus"] == "PROCESSING", 0.8)
    command(world, "settle", id_, "--check")
    assert customer.api.result(id_, wait=5).data["processStatus"] == "COMPLETED"


def test_a_line_that_waits_for_an_operator_stays_closed_on_every_instance(world, admin, customer, kos):
    """Its change has no machine any more, which would renew the line's key in Redis: it is renewed all the same, in time
    (DESIGN.md, Claim before read: renewed while open), after Redis has lost it, and after a restart."""
    key = f"pcs:line:{customer.line}"
    kos.fault("http_status", operation="change", lineNumber=customer.line, status=500, count=1)
    id_ = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    until(lambda: id_ in admin.doubts(), 3)
    kos.customer(customer.line, productCode="5GX_STANDARD")
    until(lambda: admin.doubts()[id_]["onOperatorList"], 5)
    world.cache.pexpire(key, 4000)
    until(lambda: world.cache.pttl(key) > 60000, 8, "renewed before it lapses")
    world.cache.delete(key)
    until(lambda: world.cache.get(key) == id_.encode(), 5, "taken again")
    world.service.kill9()
    world.cache.delete(key)
    world.service.start()
    until(lambda: world.cache.get(key) == id_.encode(), 5, "taken by the recovery")
    admin.settle(id_, "not-applied").expect(200)
    until(lambda: world.cache.get(key) is None, 3, "given back")
    stays(lambda: world.cache.get(key) is None, 2)


def test_a_doubt_is_settled_by_command(world, doubtful):
    id_ = doubtful.doubt
    command(world, "settle", id_, "--outcome", "not-applied", rc=2)  # a reason is wanted
    out = command(world, "settle", id_, "--outcome", "not-applied", "--actor", "lee", "--reason", "phoned").stdout
    assert "NOT_APPLIED" in out and "lee: phoned" in out
    assert doubtful.api.result(id_).data["resultCode"] == "NOT_APPLIED"
    run = command(world, "settle", id_, "--outcome", "completed", "--reason", "again", rc=1)
    assert "NOT_IN_DOUBT" in run.stderr
    # after a restart it is still so
    assert world.row(id_)["actor"] == "lee: phoned"


def test_settled_through_a_restart(world, admin, customer, kos):
    """Taken up by the recovery, on the operator's list or not, it can be settled all the same."""
    kos.fault("http_status", operation="change", lineNumber=customer.line, status=500, count=1)
    id_ = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    until(lambda: id_ in admin.doubts(), 3)
    world.service.kill9()
    world.service.start()
    assert id_ in admin.doubts()
    until(lambda: admin.settle(id_, "completed").status == 200, 3)
    assert customer.api.result(id_).data["processStatus"] == "COMPLETED"
    assert world.mvno.event(id_)["body"]["processResult"] == "정상"


# --- deliveries ---


def dead_letter(world, customer, mvno, status=422):
    mvno.fault("http_status", operation="results", lineNumber=customer.line, status=status, body='{"error":"no such line"}', count=1)
    id_ = customer.change()["requestId"]
    admin = Admin(socket_of(world.service))
    found = until(lambda: admin.deliveries(state="dead", line=customer.line), 5)
    assert found[0]["requestId"] == id_
    return id_, found[0]


def test_dead_letter_is_replayed(world, admin, customer, mvno):
    id_, letter = dead_letter(world, customer, mvno)
    assert letter["lastAttempt"]["status"] == 422 and "no such line" in letter["lastAttempt"]["answer"]
    assert not mvno.events(request_id=id_)
    admin.replay(letter["seq"], actor="kim").expect(200)
    assert mvno.event(id_)["body"]["eventId"] == letter["eventId"]
    until(lambda: admin.deliveries(state="delivered", line=customer.line), 5)
    assert not admin.deliveries(state="dead", line=customer.line)
    assert world.service.wait_log("delivery.replay", requestId=id_)[0]["actor"] == "kim"


def test_replay_behind_a_later_delivered_event_asks_for_out_of_order(world, admin, customer, mvno):
    id_, letter = dead_letter(world, customer, mvno)
    later = customer.change("LTE_BASIC")["requestId"]
    mvno.event(later)
    until(lambda: admin.deliveries(state="delivered", line=customer.line), 5)
    admin.replay(letter["seq"]).expect(409, "OUT_OF_ORDER")
    assert not mvno.events(request_id=id_)
    run = command(world, "deliveries", "replay", str(letter["seq"]), rc=1)
    assert "OUT_OF_ORDER" in run.stderr
    out = command(world, "deliveries", "replay", str(letter["seq"]), "--out-of-order").stdout
    assert id_ in out
    mvno.event(id_)


def test_a_delivered_event_is_sent_again_with_its_id(world, admin, customer, mvno):
    id_ = customer.change()["requestId"]
    event = mvno.event(id_)
    seq = until(lambda: admin.deliveries(state="delivered", line=customer.line), 5)[0]["seq"]
    admin.replay(seq).expect(200)
    until(lambda: mvno.event(id_)["deliveries"] == 2, 5)
    assert mvno.event(id_)["rawBody"] == event["rawBody"]


def test_pending_events_are_listed_and_cannot_be_replayed(world, admin, customer, mvno):
    gate = mvno.fault("hang", operation="results", lineNumber=customer.line)
    id_ = customer.change()["requestId"]
    pending = until(lambda: admin.deliveries(state="pending", line=customer.line), 5)
    assert pending[0]["requestId"] == id_ and "dueAt" in pending[0]
    admin.replay(pending[0]["seq"]).expect(409, "ALREADY_PENDING")
    out = command(world, "deliveries", "list", "--state", "pending", "--line", customer.line).stdout
    assert id_ in out and "product-change.completed" in out
    mvno.clear(gate)
    mvno.event(id_, 10)


# --- trace ---


def test_trace_tells_the_whole_story(world, admin, customer, kos, mvno):
    mvno.fault("http_status", operation="results", lineNumber=customer.line, status=500, body="out", count=1)
    kos.fault("applied_reset", operation="change", lineNumber=customer.line, count=1)
    reply = customer.api.change(customer.body(), Idempotency_Key='"trace-me"', X_Request_ID="corr-of-the-trace").expect(200)
    id_ = reply.data["requestId"]
    mvno.event(id_)
    world.row(id_)
    until(lambda: admin.trace(id=id_).data["stories"][0]["forwarding"]["state"] == "forwarded", 5)
    data = admin.trace(id=id_).data
    assert len(data["stories"]) == 1
    s = data["stories"][0]
    assert s["requestId"] == id_ and s["inJournal"] is True
    r = s["change"]
    assert r["state"] == "COMPLETED" and r["lineNumber"] == customer.line and r["correlationId"] == "corr-of-the-trace"
    assert [c["checkType"] for c in r["validation"]] == ["PRODUCT_AVAILABLE", "OPERATOR_MATCH", "LINE_STATUS"]
    assert r["doubtSince"] and r["firstStatus"] == 200
    states = {x["state"]: x.get("at") for x in s["states"]}
    assert {"RECEIVED", "CHECKED", "SENDING", "IN_DOUBT", "COMPLETED"} <= states.keys()
    assert states["RECEIVED"] <= states["CHECKED"] <= states["SENDING"] <= states["IN_DOUBT"] <= states["COMPLETED"]
    calls = [c["operation"] for c in s["kosCalls"]]
    assert "change" in calls and calls.count("inquiry") >= 2
    assert [c for c in s["kosCalls"] if c["operation"] == "change"][0]["outcome"] != "ok"
    event = s["events"][0]
    assert event["state"] == "delivered" and event["body"]["requestId"] == id_
    verdicts = [(a["status"], a["verdict"]) for a in event["attempts"]]
    assert verdicts[0] == (500, "again") and verdicts[-1] == (200, "delivered")
    assert event["attempts"][0]["answer"] == "out"
    assert s["invalidation"]["pending"] is False
    assert s["history"]["answered"] is True and s["history"]["row"]["state"] == "COMPLETED"
    assert s["redis"]["request"]["value"]["state"] == "COMPLETED" and s["redis"]["request"]["ttlMilliseconds"] > 0
    assert s["redis"]["idempotencyKey"]["requestId"] == id_
    assert data["line"]["redisAnswered"] is True and "claim" not in data["line"]
    customer.api.menu().expect(200)
    cached = admin.trace(id=id_).data["line"]["cachedCustomer"]
    assert cached["kind"] == "value" and cached["currentProductCode"] == "LTE_PLUS" and cached["ttlMilliseconds"] > 0
    out = command(world, "trace", id_).stdout
    for part in (id_, customer.line, "SENDING", "KOS", "delivered", "PRODUCT_AVAILABLE"):
        assert part in out, f"{part} is not in\n{out}"


def test_trace_of_a_line_has_its_changes_newest_first(world, admin, customer):
    first = customer.change()["requestId"]
    second = customer.change("LTE_BASIC")["requestId"]
    world.row(first), world.row(second)
    until(lambda: all(s["forwarding"]["state"] == "forwarded" for s in admin.trace(line=customer.line).data["stories"]), 5)
    data = admin.trace(line=customer.line).data
    assert [s["requestId"] for s in data["stories"]] == [second, first] and data["historyAnswered"] is True
    assert len(admin.trace(line=customer.line, limit=1).data["stories"]) == 1
    dashed = f"{customer.line[:3]}-{customer.line[3:7]}-{customer.line[7:]}"
    out = command(world, "trace", dashed).stdout
    assert out.index(second) < out.index(first)
    assert admin.trace(line="01099998888").data["stories"] == []


def test_trace_shows_the_claim_of_an_open_change(world, admin, customer, kos):
    gate = kos.fault("gate", operation="change", lineNumber=customer.line)
    id_ = customer.api.change_async(customer.body()).expect(202).data["requestId"]
    kos.wait_held(gate)
    data = admin.trace(line=customer.line).data
    assert data["stories"][0]["change"]["state"] == "SENDING" and data["stories"][0]["forwarding"]["state"] == "open"
    assert data["line"]["claim"]["requestId"] == id_
    kos.clear(gate)
    customer.api.result(id_, wait=10)


# --- slots, and commands without a daemon ---


def test_slots_without_an_owner_are_shown(world, admin, customer):
    other = world.start_service("other")
    try:
        slots = {s["slot"]: s for s in admin.get("/admin/slots").data["slots"]}
        assert slots[0]["state"] == "own" and slots[1]["state"] == "owned"
        run = command(world, "status", rc=1)
        assert "--slot" in run.stderr, "two daemons: one has to be named"
        assert '"slot":\t1' in command(world, "status", "--slot", "1", "--json").stdout
    finally:
        other.kill9()
    slots = {s["slot"]: s for s in admin.get("/admin/slots").data["slots"]}
    assert slots[1]["state"] == "orphan" and slots[1]["open"] == 0 and slots[1]["instance"] != ""
    assert "orphan" in command(world, "slots").stdout


def test_commands_without_a_daemon_read_the_journal(world, session, customer, kos, mvno):
    folder = os.path.join(world.folder, "journal-alone")
    service = world.start_service("alone", JOURNAL_PATH=folder)
    api = customer.api.at(service)
    first = api.change(customer.body()).expect(200).data["requestId"]
    mvno.event(first)
    kos.fault("http_status", operation="change", lineNumber=customer.line, status=500, count=1)
    id_ = api.change_async(customer.body("LTE_BASIC", current="LTE_PLUS")).expect(202).data["requestId"]
    local = Admin(socket_of(service))
    until(lambda: len(local.trace(id=id_).data["stories"][0]["kosCalls"]) >= 2, 3)
    service.kill9()
    env = {"JOURNAL_PATH": folder}
    run = command(world, "settle", "list", **env)
    assert id_ in run.stdout and "no daemon runs" in run.stderr
    run = command(world, "trace", id_, **env)
    assert customer.line in run.stdout and "SENDING" in run.stdout and "KOS" in run.stdout
    assert first in command(world, "deliveries", "list", **env).stdout
    assert json.loads(command(world, "trace", customer.line, "--json", **env).stdout)["stories"][0]["requestId"] == id_
    for argv in (("status",), ("breakers",), ("deliveries", "replay", "1"),
                 ("settle", id_, "--outcome", "completed", "--reason", "r"), ("settle", id_, "--check")):
        run = command(world, *argv, rc=3, **env)
        assert "no daemon" in run.stderr, run
    run = command(world, "status", "--socket", os.path.join(folder, "0", "admin.sock"), rc=3)
    assert "no daemon answers" in run.stderr
    service.start()
    admin = Admin(os.path.join(folder, "0", "admin.sock"))
    until(lambda: admin.settle(id_, "not-applied").status == 200, 3)


def test_commands_need_no_secrets(world):
    env = {"PATH": os.environ["PATH"], "JOURNAL_PATH": world.env()["JOURNAL_PATH"]}
    run = world.run("status", env=env)
    assert run.returncode == 0, run


def test_wrong_use_of_commands_is_told(world):
    for argv in (("status", "x"), ("settle", "nonsense"), ("trace",), ("trace", "x"), ("deliveries", "replay"), ("deliveries", "replay", "x"),
                 ("status", "--slot", "x"), ("status", "--slot", "4294967296"), ("breakers", "a"), ("slots", "y")):
        run = world.run(*argv)
        assert run.returncode == 2 and "usage" in run.stderr, run
    assert "unknown command" in world.run("explode").stderr
    help_ = world.run("--help").stdout
    for word in ("status", "breakers", "settle", "deliveries", "trace", "slots"):
        assert f"\n  {word} " in help_


def test_a_long_path_of_the_socket(world):
    folder = os.path.join(world.folder, "j" * 100, "k" * 60)
    os.makedirs(folder)
    service = world.start_service("long", JOURNAL_PATH=folder)
    try:
        assert "UP" in command(world, "status", JOURNAL_PATH=folder).stdout
    finally:
        service.stop()


def test_a_console_that_polls_does_not_keep_the_service_from_ending(world):
    """An open connection of an operator is cut in order."""
    service = world.start_service("ending", JOURNAL_PATH=os.path.join(world.folder, "journal-ending"))
    s = socket.socket(socket.AF_UNIX)
    s.connect(socket_of(service))
    s.sendall(b"GET /admin/status HTTP/1.1\r\nHost: x\r\n\r\n")
    assert s.recv(4096).startswith(b"HTTP/1.1 200")
    start = time.monotonic()
    service.stop()
    assert time.monotonic() - start < 10
    s.close()
