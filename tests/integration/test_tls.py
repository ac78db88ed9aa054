"""TLS (issue 5, point 6): to KOS and MVNO AP verified unless told otherwise, to PostgreSQL by sslmode, on the listening
port if configured; each path when it works and when it must not."""

import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest
import requests

from harness import servers
from harness.client import Api, raw, request_bytes
from harness.pki import Authority, TlsFront
from harness.wait import stays, until
from harness.world import migrate


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


# --- the listening port ---


@pytest.fixture(scope="module")
def tls_service(world, pki):
    cert, key = pki.issue("service")
    service = TlsService(world, pki, cert, key)
    yield service
    service.close()


class TlsService:
    """The service with TLS on its port. The harness asks for readiness in plain HTTP, so it is started by hand."""

    def __init__(self, world, pki, cert, key, **env):
        from harness import ports
        from harness.proc import Process, wait_until_up
        from harness.service import SANITIZER_ENV, program

        self.world, self.pki = world, pki
        self.cert, self.key = cert, key
        self.port = ports.take()
        self.url = f"https://127.0.0.1:{self.port}"
        full = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **SANITIZER_ENV,
                **world.env(SERVER_PORT=self.port, SERVER_BIND="127.0.0.1", SERVER_TLS_CERT_FILE=cert, SERVER_TLS_KEY_FILE=key,
                            JOURNAL_PATH=f"{world.folder}/journal-tls-{self.port}", **env)}
        os.makedirs(full["JOURNAL_PATH"])
        self.process = Process(f"tls-{self.port}", [program(world.build)], world.folder, full)
        wait_until_up(self.process, lambda: self.get("/health/ready").status_code == 200, 20)

    def get(self, path, verify=None, **more):
        with requests.Session() as s:
            s.trust_env = False
            return s.get(self.url + path, verify=verify or self.pki.file, timeout=10, **more)

    def api(self, customer):
        api = Api(self.url, customer.token, self.world.described)
        api.session.verify = self.pki.file
        return api

    def connect(self, context=None):
        context = context or ssl.create_default_context(cafile=self.pki.file)
        return context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), 10), server_hostname="127.0.0.1")

    def ask(self, data, seconds=10):
        """Everything that comes for these bytes, until the service closes or is silent."""
        with self.connect() as s:
            s.settimeout(seconds)
            s.sendall(data)
            seen = b""
            try:
                while chunk := s.recv(65536):
                    seen += chunk
            except (socket.timeout, ssl.SSLError, ConnectionResetError):
                pass
            return seen

    def served(self):
        """The serial number of the certificate that a new connection is shown."""
        with self.connect() as s:
            return s.getpeercert()["serialNumber"]

    def close(self):
        if self.process.running():
            code = self.process.stop(seconds=20)
            assert code == 0 and not self.process.crash_marks(), self.process.log()[-6000:]


def test_the_journey_over_tls(world, tls_service):
    c = world.customer()
    api = tls_service.api(c)
    api.menu().expect(200)
    api.screen().expect(200)
    result = api.change(c.body()).expect(200).data
    assert result["processStatus"] == "COMPLETED" and len(c.orders()) == 1
    api.result(result["requestId"]).expect(200)
    until(lambda: api.history().expect(200).data["history"][0]["requestId"] == result["requestId"], 5, "history")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_tls_1_2_and_1_3_are_spoken(tls_service, version):
    context = ssl.create_default_context(cafile=tls_service.pki.file)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    with tls_service.connect(context) as s:
        name = s.cipher()[0]
        assert "GCM" in name or "CHACHA20" in name, name


@pytest.mark.parametrize("option", ["-tls1", "-tls1_1", "-cipher=AES128-SHA -tls1_2", "-cipher=AES128-GCM-SHA256 -tls1_2", "-cipher=ECDHE-ECDSA-AES128-SHA -tls1_2"])
def test_older_versions_and_weak_ciphers_are_refused(tls_service, option):
    """Down to what OpenSSL can still be made to offer (security level 0); without forward secrecy or AEAD: no."""
    argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{tls_service.port}", "-brief"]
    for word in option.split(" "):
        argv += [f"{part}:@SECLEVEL=0" if n else part for n, part in enumerate(word.split("="))]
    if "cipher" not in option:
        argv += ["-cipher", "ALL:@SECLEVEL=0"]
    result = subprocess.run(argv, input=b"", capture_output=True, timeout=20)
    text = (result.stdout + result.stderr).decode()
    assert result.returncode != 0 and "CONNECTION ESTABLISHED" not in text, text


def test_plain_http_on_the_tls_port_gets_nothing(tls_service):
    with socket.create_connection(("127.0.0.1", tls_service.port), 5) as s:
        s.settimeout(5)
        s.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        seen = b""
        try:
            while chunk := s.recv(4096):
                seen += chunk
        except ConnectionResetError:
            pass
    assert b"HTTP/1.1" not in seen, seen
    assert tls_service.get("/health/live").status_code == 200


def test_the_guard_and_the_limits_hold_over_tls(world, tls_service):
    """The checks of the head that compare addresses and lengths in libmicrohttpd's buffer, and the refusals that end a
    connection, over a connection that is decrypted first."""
    c = world.customer()
    body = b'{"a": 1}'
    token = c.token
    json_ = [("Content-Type", "application/json")]
    cases = {
        b"400": [request_bytes("POST", "/request", token, body, json_ + [("Content-Length", "8"), ("Content-Length", "3")]),
                 request_bytes("POST", "/request", token, b"0\r\n\r\n", json_ + [("Content-Length", "5"), ("Transfer-Encoding", "chunked")]),
                 b"GET /menu HTTP/1.1\r\nHost: t\r\nX-A: b\r\n c\r\n\r\n", b"GET /menu HTTP/1.1\nHost: t\n\n",
                 b"GET /menu HTTP/1.1\r\nHost: t\r\nX-A: b\x00c\r\n\r\n", request_bytes("GET", "/menu", token, b"", [("Host", "other")])],
        b"431": [request_bytes("GET", "/menu", token, headers=[("X-Filler", "x" * 6500)])],
        b"411": [request_bytes("POST", "/request", token, b"0\r\n\r\n", json_ + [("Transfer-Encoding", "chunked")])],
        b"413": [request_bytes("POST", "/request", token, b"x" * 100000, json_ + [("Content-Length", "100000")])],
        b"200": [request_bytes("GET", "/menu", token, headers=[("Connection", "close")])],
    }
    for status, requests_ in cases.items():
        for data in requests_:
            seen = tls_service.ask(data)
            assert seen.startswith(b"HTTP/1.1 " + status + b" "), (data[:200], seen[:200])
            assert seen.count(b"HTTP/1.1 ") == 1, seen
    assert not c.orders()


def test_keep_alive_pipelining_and_bodies_in_small_records(world, tls_service):
    c = world.customer()
    one = request_bytes("GET", "/menu", c.token)
    last = request_bytes("GET", "/menu", c.token, headers=[("Connection", "close")])
    assert tls_service.ask(one * 9 + last).count(b"HTTP/1.1 200 OK") == 10
    body = b'{"lineNumber": "%s", "currentProductCode": "LTE_BASIC", "targetProductCode": "LTE_PLUS"}' % c.line.encode()
    data = request_bytes("POST", "/request/validation", c.token, body, [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")])
    with tls_service.connect() as s:
        s.settimeout(10)
        for n in range(len(data)):
            s.sendall(data[n:n + 1])  # a record each
        seen = b""
        while chunk := s.recv(65536):
            seen += chunk
    assert seen.startswith(b"HTTP/1.1 200 ") and b'"SUCCESS"' in seen, seen


def test_a_waiting_request_over_tls_is_answered_when_it_is_done(world, kos, tls_service):
    """Suspended and resumed: what libmicrohttpd does not notice by itself."""
    c = world.customer()
    gate = kos.fault("gate", operation="change", lineNumber=c.line)
    api = tls_service.api(c)
    result = api.change_async(c.body()).expect(202).data
    kos.wait_held(gate)
    kos.release(gate)
    assert api.result(result["requestId"], wait=10).data["processStatus"] == "COMPLETED"


def test_a_client_that_never_finishes_its_handshake_is_cut(world, pki):
    cert, key = pki.issue("slow")
    service = TlsService(world, pki, cert, key, SERVER_HEADER_TIMEOUT="500ms")
    try:
        for start in (b"", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01"):
            with socket.create_connection(("127.0.0.1", service.port), 5) as s:
                s.settimeout(5)
                s.sendall(start)
                began = time.monotonic()
                try:
                    while s.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
                assert time.monotonic() - began < 4
    finally:
        service.close()


def test_sighup_exchanges_the_certificate_and_keeps_the_old_one_if_the_new_is_bad(world, pki, stranger):
    cert, key = pki.issue("first")
    service = TlsService(world, pki, cert, key)
    try:
        before = service.served()
        kept = service.connect()
        shutil.copy(stranger.issue("other")[1], key)  # a key that is not the certificate's
        service.process.signal(signal.SIGHUP)
        until(lambda: "reload.certificate_refused" in service.process.log(), 5, "refused")
        assert service.served() == before
        fresh = pki.issue("second")
        shutil.copy(fresh[0], cert)
        shutil.copy(fresh[1], key)
        service.process.signal(signal.SIGHUP)
        until(lambda: service.served() != before, 5, "the new certificate")
        with kept:  # a connection from before goes on
            kept.sendall(request_bytes("GET", "/health/live", headers=[("Connection", "close")]))
            assert kept.recv(4096).startswith(b"HTTP/1.1 200 ")
    finally:
        service.close()


def test_wrong_files_are_named(world, pki, stranger, tmp_path):
    cert, key = pki.issue("named")
    empty = tmp_path / "empty"
    empty.write_text("")
    fifo = str(tmp_path / "fifo")  # would hold up the start for ever
    os.mkfifo(fifo)
    for env, words in (({"SERVER_TLS_CERT_FILE": cert}, ["server.tls.key_file"]),
                       ({"SERVER_TLS_CERT_FILE": "/nowhere", "SERVER_TLS_KEY_FILE": key}, ["server.tls.cert_file", "/nowhere"]),
                       ({"SERVER_TLS_CERT_FILE": cert, "SERVER_TLS_KEY_FILE": "/nowhere"}, ["server.tls.key_file", "/nowhere"]),
                       ({"SERVER_TLS_CERT_FILE": str(empty), "SERVER_TLS_KEY_FILE": key}, ["server.tls.cert_file"]),
                       ({"SERVER_TLS_CERT_FILE": key, "SERVER_TLS_KEY_FILE": cert}, ["server.tls."]),
                       ({"SERVER_TLS_CERT_FILE": fifo, "SERVER_TLS_KEY_FILE": key}, ["server.tls.cert_file", "is not a regular file"]),
                       ({"SERVER_TLS_CERT_FILE": cert, "SERVER_TLS_KEY_FILE": fifo}, ["server.tls.key_file", "is not a regular file"]),
                       ({"SERVER_TLS_CERT_FILE": cert, "SERVER_TLS_KEY_FILE": stranger.issue("wrong")[1]}, ["is not the key of"])):
        result = world.run("--check-config", env={**world.env(), **env})
        assert result.returncode == 1, result
        assert [w for w in words if w in result.stderr] == words, result.stderr


@pytest.mark.parametrize("name", ["KOS_TLS_CA_FILE", "KOS_TLS_CLIENT_KEY", "MVNO_TLS_CA_FILE", "MVNO_TLS_CLIENT_CERT", "DB_TLS_CA_FILE", "DB_TLS_CLIENT_KEY"])
def test_a_file_of_a_neighbours_tls_that_cannot_be_read_refuses_the_start(world, pki, tmp_path, name):
    """Later it would only look like an outage of that neighbour; a FIFO would stop a reactor."""
    cert, key = pki.issue("ours")
    neighbour, setting = name.split("_")[0], name.lower().replace("_tls_", ".tls.")
    ours = {f"{neighbour}_TLS_CLIENT_CERT": cert, f"{neighbour}_TLS_CLIENT_KEY": key}
    assert world.run("--check-config", env={**world.env(), **ours}).returncode == 0
    fifo, empty = tmp_path / "fifo", tmp_path / "empty"
    os.mkfifo(fifo)
    empty.write_text("")
    for file, why in (("/nowhere", "No such file"), (fifo, "is not a regular file"), (tmp_path, "is not a regular file"), (empty, "is empty")):
        for argv in (["--check-config"], []):
            result = world.run(*argv, env={**world.env(), **ours, name: str(file)})
            assert result.returncode == 1 and setting in result.stderr and str(file) in result.stderr and why in result.stderr, result


# --- KOS ---


def kos_front(world, pki, **more):
    cert, key = pki.issue("kos", **{k: v for k, v in more.items() if k in ("hosts", "expired")})
    return TlsFront(world.kos.port, cert, key, more.get("client_ca"))


def test_kos_over_tls_with_its_authority_named(world, pki):
    front = kos_front(world, pki)
    service = world.start_service(name="kos-tls", KOS_BASE_URL=front.url, KOS_TLS_CA_FILE=pki.file, JOURNAL_PATH=world.folder + "/journal-kos-tls")
    try:
        c = world.customer()
        c.api.at(service).menu().expect(200)
        assert c.api.at(service).change(c.body()).expect(200).data["processStatus"] == "COMPLETED"
        assert front.accepted and front.bytes
    finally:
        service.stop()
        front.close()


def refused_by_us(world, front, name, **env):
    """The carrier cannot be trusted: nothing of a customer is sent, the answer says that nothing was ordered."""
    service = world.start_service(name=name, KOS_BASE_URL=front.url, JOURNAL_PATH=f"{world.folder}/journal-{name}", **env)
    try:
        c = world.customer()
        c.api.at(service).menu().expect(503, "KOS_UNAVAILABLE")
        c.api.at(service).change(c.body()).expect(503, "KOS_UNAVAILABLE")
        until(lambda: service.metric("pcs_journal_in_doubt") == 0, 5, "no doubt")
        assert not world.kos.calls(line=c.line)
        return service.process.log()
    finally:
        service.stop()
        front.close()


def test_a_kos_that_nobody_we_know_has_signed_is_not_spoken_to(world, pki):
    """By default, with the system's authorities: verification needs no setting."""
    front = kos_front(world, pki)
    log = refused_by_us(world, front, "kos-unknown")
    assert front.bytes == 0 and '"tls"' in log


def test_a_kos_of_another_authority_is_not_spoken_to(world, pki, stranger):
    front = kos_front(world, stranger)
    refused_by_us(world, front, "kos-stranger", KOS_TLS_CA_FILE=pki.file)
    assert front.bytes == 0


def test_a_kos_under_another_name_is_not_spoken_to(world, pki):
    front = kos_front(world, pki, hosts=("kos.example",))
    refused_by_us(world, front, "kos-name", KOS_TLS_CA_FILE=pki.file)
    assert front.bytes == 0


def test_a_kos_whose_certificate_has_expired_is_not_spoken_to(world, pki):
    front = kos_front(world, pki, expired=True)
    refused_by_us(world, front, "kos-expired", KOS_TLS_CA_FILE=pki.file)
    assert front.bytes == 0


def test_kos_that_wants_our_certificate(world, pki):
    cert, key = pki.issue("our-service", client=True)
    front = kos_front(world, pki, client_ca=pki.file)
    service = world.start_service(name="kos-mtls", KOS_BASE_URL=front.url, KOS_TLS_CA_FILE=pki.file, KOS_TLS_CLIENT_CERT=cert, KOS_TLS_CLIENT_KEY=key,
                                  JOURNAL_PATH=world.folder + "/journal-kos-mtls")
    try:
        c = world.customer()
        assert c.api.at(service).change(c.body()).expect(200).data["processStatus"] == "COMPLETED"
        assert "our-service" in front.subjects
    finally:
        service.stop()
        front.close()


def test_kos_that_wants_our_certificate_and_gets_none(world, pki):
    """Under TLS 1.3 the refusal comes after our request was written: then nobody may say that nothing was ordered."""
    front = kos_front(world, pki, client_ca=pki.file)
    service = world.start_service(name="kos-nocert", KOS_BASE_URL=front.url, KOS_TLS_CA_FILE=pki.file, JOURNAL_PATH=world.folder + "/journal-kos-nocert")
    try:
        c = world.customer()
        c.api.at(service).menu().expect(503, "KOS_UNAVAILABLE")
        c.api.at(service).change(c.body()).expect(503, "KOS_UNAVAILABLE")
        assert front.bytes == 0 and not world.kos.calls(line=c.line)
    finally:
        service.stop()
        front.close()


# --- MVNO AP ---


def mvno_env(front, **env):
    return {"MVNO_BASE_URL": front.url, "MVNO_PROBE": "200ms", **env}


def test_mvno_ap_over_tls(world, pki):
    cert, key = pki.issue("mvno")
    mine = pki.issue("our-service-2", client=True)
    front = TlsFront(world.mvno.port, cert, key, pki.file)
    service = world.start_service(name="mvno-tls", JOURNAL_PATH=world.folder + "/journal-mvno-tls",
                                  **mvno_env(front, MVNO_TLS_CA_FILE=pki.file, MVNO_TLS_CLIENT_CERT=mine[0], MVNO_TLS_CLIENT_KEY=mine[1]))
    try:
        c = world.customer()
        result = c.api.at(service).change(c.body()).expect(200).data
        assert world.mvno.event(result["requestId"])
        assert "our-service-2" in front.subjects
    finally:
        service.stop()
        front.close()


def test_an_mvno_ap_that_cannot_be_trusted_is_told_nothing_and_the_event_waits(world, pki, stranger):
    cert, key = stranger.issue("mvno-wrong")
    front = TlsFront(world.mvno.port, cert, key)
    env = mvno_env(front, MVNO_TLS_CA_FILE=pki.file)
    service = world.start_service(name="mvno-wrong", JOURNAL_PATH=world.folder + "/journal-mvno-wrong", **env)
    try:
        c = world.customer()
        result = c.api.at(service).change(c.body()).expect(200).data
        until(lambda: front.refused >= 2, 10, "two attempts")
        stays(lambda: not world.mvno.events(request_id=result["requestId"]), 0.3, "nothing is told")
        assert front.bytes == 0 and service.metric("pcs_journal_pending", sink="events") == 1
    finally:
        service.stop()
        front.close()


# --- PostgreSQL ---


@pytest.fixture(scope="module")
def tls_postgres(session, pki, tmp_path_factory):
    """A PostgreSQL that takes TLS only, for the name localhost."""
    server = servers.Postgres(str(tmp_path_factory.mktemp("pg-log")))
    cert, key = pki.issue("postgres", hosts=("localhost",))
    for source, name in ((cert, "server.crt"), (key, "server.key")):
        target = os.path.join(server.data, name)
        shutil.copy(source, target)
        os.chmod(target, 0o600)
        if server.user:
            shutil.chown(target, server.user, server.user)
    with open(os.path.join(server.data, "postgresql.conf"), "a") as f:
        f.write("ssl = on\nssl_min_protocol_version = 'TLSv1.2'\n")
    with open(os.path.join(server.data, "pg_hba.conf"), "w") as f:
        f.write("hostssl all all 127.0.0.1/32 scram-sha-256\n")
    server.stop()
    server.start()
    server.make_roles()
    server.make_database("secured")
    yield server
    server.close()


def pg_env(server, **env):
    return {"DB_HOST": "localhost", "DB_PORT": server.port, "DB_NAME": "secured", **env}


def pg_service(world, server, name, **env):
    return world.start_service(name=name, JOURNAL_PATH=f"{world.folder}/journal-{name}", **pg_env(server, **env))


def test_migrate_and_history_with_postgresql_verified(world, session, pki, tls_postgres):
    """sslmode verify-full with the authority's file: migrate, forwarding, queries, verify-history."""
    env = pg_env(tls_postgres, DB_SSLMODE="verify-full", DB_TLS_CA_FILE=pki.file, HISTORY_CHAIN_KEY=secrets.token_hex(32))
    migrate(session.build, tls_postgres, "secured", **{k: str(v) for k, v in env.items()})
    service = pg_service(world, tls_postgres, "pg-full", **env)
    try:
        c = world.customer()
        result = c.api.at(service).change(c.body()).expect(200).data
        until(lambda: service.metric("pcs_journal_pending") == 0, 10, "forwarded")
        database = servers.Database(tls_postgres, "secured")
        assert len(database.history(result["requestId"])) == 1
        used = database.rows("SELECT s.version FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'product-change-service' AND s.ssl")
        assert used and {row["version"] for row in used} <= {"TLSv1.2", "TLSv1.3"}, used
        assert c.api.at(service).history().data["history"][0]["requestId"] == result["requestId"]
        verified = world.run("verify-history", env=world.env(**env))
        assert verified.returncode == 0, verified
    finally:
        service.stop()


@pytest.mark.parametrize("name, env, why", [
    ("pg-disable", {"DB_SSLMODE": "disable"}, "the server takes no plain connection"),
    ("pg-noca", {"DB_SSLMODE": "verify-ca"}, "no authority is known"),
    ("pg-stranger", {"DB_SSLMODE": "verify-ca"}, "signed by another authority"),
    ("pg-name", {"DB_SSLMODE": "verify-full", "DB_HOST": "127.0.0.1"}, "the certificate is another host's"),
])
def test_a_postgresql_that_cannot_be_trusted_gets_no_rows_and_changes_go_on(world, pki, stranger, tls_postgres, name, env, why):
    ca = {"pg-stranger": stranger.file, "pg-name": pki.file}.get(name, "")
    service = pg_service(world, tls_postgres, name, **{**env, "DB_TLS_CA_FILE": ca, "HOME": "/nonexistent"})
    try:
        c = world.customer()
        c.api.at(service).change(c.body()).expect(200)
        service.wait_log("history.down", 10)
        assert service.metric("pcs_journal_pending", sink="history") >= 1, why
        c.api.at(service).history().expect(503, "SERVICE_UNAVAILABLE")
    finally:
        service.stop()


@pytest.mark.parametrize("mode", ["require", "prefer", "allow"])
def test_modes_that_encrypt_without_verifying(world, tls_postgres, mode):
    service = pg_service(world, tls_postgres, f"pg-{mode}", DB_SSLMODE=mode)
    try:
        c = world.customer()
        c.api.at(service).change(c.body()).expect(200)
        until(lambda: service.metric("pcs_journal_pending", sink="history") == 0, 10, "forwarded")
    finally:
        service.stop()
