"""Configuration (issue 2 point 8; CONTRACT.md 6): files, environment, secrets, what is refused and how it is said."""

import os
import re
import secrets
import socket
import subprocess

import pytest

from harness import tokens
from harness.service import SANITIZER_ENV, program
from harness.wait import until

NAMES = """SERVER_PORT SERVER_BIND SERVER_PUBLIC_PREFIX SERVER_THREADS KOS_BASE_URL KOS_DEFAULT_OPERATOR KOS_DEDUPLICATES KOS_SETTLE_HORIZON
MVNO_BASE_URL MVNO_WEBHOOK_SECRET REDIS_HOST REDIS_PORT REDIS_PASSWORD REDIS_DATABASE DB_HOST DB_PORT DB_NAME DB_USERNAME DB_PASSWORD DB_SSLMODE
DB_MIGRATE_USERNAME DB_MIGRATE_PASSWORD JWT_SECRET JWT_PUBLIC_KEY_FILE JWT_JWKS_FILE JWT_ALGORITHMS JWT_ISSUER JWT_AUDIENCE AUTH_REQUIRE_PERMISSION
CORS_ALLOWED_ORIGINS OUTAGE_MODE JOURNAL_PATH LOG_LEVEL LIMITS_RATE LIMITS_BURST PRECHECK_MAX_AGE CACHE_CUSTOMER_SOFT_AGE
CACHE_CATALOGUE_SOFT_AGE""".split()
LATER_ISSUES = ["ADMIN_BIND", "ADMIN_PORT", "ADMIN_TOKEN_FILE"]

OWN_SECRET = secrets.token_hex(32)
MINIMAL = {"KOS_BASE_URL": "http://127.0.0.1:1", "JWT_SECRET": OWN_SECRET}


def run(build, *argv, env=None, **more):
    full = {"PATH": os.environ["PATH"], **SANITIZER_ENV, **(MINIMAL if env is None else env), **more}
    return subprocess.run([program(build), *argv], capture_output=True, text=True, env=full, timeout=20)


def check(build, text=None, tmp_path=None, env=None, **more):
    argv = ["--check-config"]
    if text is not None:
        file = tmp_path / "service.yaml"
        file.write_text(text, encoding="utf-8")
        argv = ["--config", str(file), "--check-config"]
    return run(build, *argv, env=env, **more)


def refused(result, *words):
    assert result.returncode not in (0, 99) and result.returncode > 0, (result.returncode, result.stdout, result.stderr)
    for word in words:
        assert word in result.stderr, f"{word!r} is not in:\n{result.stderr}"
    return result.stderr


def test_minimal_environment_is_enough(build):
    assert check(build).returncode == 0


def test_help_names_every_setting_with_its_environment_name(build):
    out = run(build, "--help", env={}).stdout
    missing = [n for n in NAMES if not re.search(rf"\b{n}\b", out)]
    assert not missing, f"--help lacks {missing}"


def test_help_names_the_admin_settings(build):
    out = run(build, "--help", env={}).stdout
    missing = [n for n in LATER_ISSUES if not re.search(rf"\b{n}\b", out)]
    assert not missing, f"--help lacks {missing}"


def test_help_and_version_need_no_configuration(build):
    for option in ("--help", "--version"):
        result = run(build, option, env={})
        assert result.returncode == 0 and result.stdout and not result.stderr, result
    assert re.match(r"product-change-service \d+\.\d+\.\d+$", run(build, "--version", env={}).stdout.strip())


def test_required_settings_are_named(build):
    refused(check(build, env={}), "kos.base_url")
    refused(check(build, env={"KOS_BASE_URL": "http://k"}), "jwt.secret")
    assert check(build, env={"KOS_BASE_URL": "http://k", "JWT_SECRET": "x" * 32}).returncode == 0


def test_start_is_refused_without_them_too(build, tmp_path):
    result = run(build, env={"JOURNAL_PATH": str(tmp_path)})
    refused(result, "kos.base_url")


@pytest.mark.parametrize("name, value, words", [
    ("SERVER_PORT", "65536", ["SERVER_PORT", "65535"]),
    ("SERVER_PORT", "abc", ["SERVER_PORT"]),
    ("SERVER_PORT", "-1", ["SERVER_PORT"]),
    ("REDIS_PORT", "0", ["REDIS_PORT"]),
    ("KOS_SETTLE_HORIZON", "10", ["KOS_SETTLE_HORIZON"]),
    ("KOS_SETTLE_HORIZON", "10 minutes", ["KOS_SETTLE_HORIZON"]),
    ("KOS_SETTLE_HORIZON", "999999999h", ["KOS_SETTLE_HORIZON"]),
    ("KOS_DEDUPLICATES", "maybe", ["KOS_DEDUPLICATES"]),
    ("LOG_LEVEL", "loud", ["LOG_LEVEL", "info"]),
    ("KOS_BASE_URL", "ftp://x", ["KOS_BASE_URL"]),
    ("KOS_BASE_URL", "http://", ["KOS_BASE_URL"]),
    ("MVNO_BASE_URL", "not a url", ["MVNO_BASE_URL"]),
    ("JWT_SECRET", "short", ["JWT_SECRET", "32"]),
    ("JWT_SECRET", "x" * 31, ["JWT_SECRET", "32"]),
    ("JWT_ALGORITHMS", "none", ["JWT_ALGORITHMS"]),
    ("JWT_ALGORITHMS", "HS256,RS256", ["JWT_ALGORITHMS"]),
    ("JWT_PUBLIC_KEY_FILE", "/no/such/file.pem", ["/no/such/file.pem"]),
    ("OUTAGE_MODE", "panic", ["OUTAGE_MODE", "refuse", "hold"]),
    ("LIMITS_RATE", "1.5", ["LIMITS_RATE"]),
    ("DB_SSLMODE", "perhaps", ["DB_SSLMODE"]),
    ("SERVER_PUBLIC_PREFIX", "product", ["SERVER_PUBLIC_PREFIX"]),
    ("CORS_ALLOWED_ORIGINS", "https://a.example,nonsense", ["CORS_ALLOWED_ORIGINS"]),
    ("CACHE_CUSTOMER_TTL", "0", ["CACHE_CUSTOMER_TTL"]),
    ("CACHE_JITTER", "11", ["CACHE_JITTER"]),
])
def test_a_wrong_value_is_refused_by_name_with_what_is_accepted(build, name, value, words):
    stderr = refused(check(build, **{name: value}))
    dotted = name.lower().replace("_", ".")
    for word in words:
        assert word in stderr or word.lower().replace("_", ".") in stderr or dotted in stderr.replace("_", "."), (word, stderr)


def test_a_wrong_secret_is_refused_without_being_told(build):
    stderr = refused(check(build, JWT_SECRET="hunter2-hunter2"))
    assert "hunter2" not in stderr


@pytest.mark.parametrize("value", ["250ms", "3s", "10m", "4h"])
def test_durations(build, value):
    result = check(build, KOS_SETTLE_HORIZON=value)
    assert (result.returncode == 0) == (value != "250ms"), result.stderr


def test_unknown_environment_names_are_left_alone(build):
    assert check(build, KOS_SOMETHING="x", SERVER_UNHEARD_OF="y", DB_="z", FOO="bar").returncode == 0


def test_environment_overrides_the_file(build, tmp_path):
    text = "kos:\n  base_url: http://from-file\nlog:\n  level: error\n"
    file = tmp_path / "c.yaml"
    file.write_text(text)
    out = run(build, "--config", str(file), "--print-config", env={"JWT_SECRET": OWN_SECRET, "LOG_LEVEL": "debug"}).stdout
    assert "http://from-file" in out and "debug" in out
    assert OWN_SECRET not in out


@pytest.mark.parametrize("text, words", [
    ("kos:\n  base_url: http://k\n  base_ulr: x\n", [":3", "kos.base_ulr"]),
    ("server:\n  port: 99999\n", [":2", "server.port", "65535"]),
    ("server:\n  port: many\n", [":2", "server.port"]),
    ("nonsense: 1\n", [":1", "nonsense"]),
    ("server: 5\n", [":1", "server"]),
    ("server:\n  port: 1\n  port: 2\n", [":3", "server.port"]),
    ("log:\n  level: [a, b]\n", [":2", "log.level"]),
    ("server:\n\tport: 1\n", [":2"]),
    ("a: b: c\n", [":1"]),
    ("kos:\n  settle_horizon: 2s\n  deduplicates: perhaps\n", [":3", "kos.deduplicates"]),
])
def test_errors_in_a_file_name_file_line_and_setting(build, tmp_path, text, words):
    stderr = refused(check(build, text, tmp_path))
    assert "service.yaml" in stderr, stderr
    for word in words:
        assert word in stderr, (word, stderr)


def test_every_error_is_told_at_once(build, tmp_path):
    stderr = refused(check(build, "server:\n  port: 0x\nlog:\n  level: loud\nwhat: 1\n", tmp_path, REDIS_PORT="none"))
    for word in ("server.port", "log.level", "what", "REDIS_PORT"):
        assert word in stderr or word.lower().replace("_", ".") in stderr, (word, stderr)


def test_a_file_that_cannot_be_read(build, tmp_path):
    refused(run(build, "--config", str(tmp_path / "absent.yaml"), "--check-config"), "absent.yaml")
    refused(run(build, "--config", str(tmp_path), "--check-config"), str(tmp_path))


def test_the_shipped_file_is_right(build):
    file = os.path.join(os.path.dirname(__file__), "..", "..", "config", "product-change-service.yaml")
    result = run(build, "--config", file, "--check-config")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["JWT_SECRET", "REDIS_PASSWORD", "DB_PASSWORD", "DB_MIGRATE_PASSWORD", "MVNO_WEBHOOK_SECRET"])
def test_each_secret_also_from_a_file(build, tmp_path, name):
    env = {**MINIMAL, "DB_MIGRATE_USERNAME": "m", "DB_MIGRATE_PASSWORD": "p"}
    env.pop(name, None)
    file = tmp_path / "secret"
    file.write_text("a-secret-of-at-least-thirty-two-bytes")
    assert check(build, env={**env, f"{name}_FILE": str(file)}).returncode == 0
    stderr = refused(check(build, env={**env, f"{name}_FILE": str(tmp_path / "absent")}), "absent")
    assert name.lower().replace("_", ".")[:5] in stderr.lower().replace("_", ".")
    out = run(build, "--print-config", env={**env, f"{name}_FILE": str(file)})
    assert "a-secret-of-at-least" not in out.stdout + out.stderr


def test_a_secret_in_both_places_is_refused_or_one_is_taken(build, tmp_path):
    file = tmp_path / "secret"
    file.write_text("x" * 40)
    result = check(build, env={**MINIMAL, "JWT_SECRET_FILE": str(file)})
    assert result.returncode in (0, 1)


def test_the_services_secrets_from_files(world, tmp_path):
    """JWT_SECRET_FILE, DB_PASSWORD_FILE, REDIS_PASSWORD_FILE, MVNO_WEBHOOK_SECRET_FILE work."""
    files = {}
    for name, value in (("JWT_SECRET", tokens.SECRET), ("DB_PASSWORD", "service-password"), ("REDIS_PASSWORD", world.redis.password),
                        ("MVNO_WEBHOOK_SECRET", world.mvno.secret)):
        (tmp_path / name).write_text(value + "\n")
        files[name] = ""
        files[f"{name}_FILE"] = str(tmp_path / name)
    service = world.start_service(name="files", JOURNAL_PATH=world.folder + "/journal-files", **files)
    try:
        c = world.customer()
        result = c.api.at(service).change(c.body()).expect(200).data
        assert world.row(result["requestId"]) and world.mvno.event(result["requestId"])
        ready = world.api(service=service).get("/health/ready").json
        assert ready["status"] == "UP", ready
    finally:
        service.stop()


def test_a_short_webhook_secret_warns(world):
    service = world.start_service(name="short", MVNO_WEBHOOK_SECRET="x" * 23, MVNO_BASE_URL="", JOURNAL_PATH=world.folder + "/journal-short")
    try:
        assert [e for e in service.lines() if e["level"] == "warn" and "secret" in str(e).lower()], "under 24 bytes warns"
    finally:
        service.stop()


def test_unknown_option_and_command(build):
    for argv, named in ((["--no-such-option"], "no-such-option"), (["no-such-command"], "no-such-command"), (["serve", "too"], "too")):
        result = run(build, *argv)
        assert result.returncode not in (0, 99) and named in result.stderr, result


def test_the_table_of_settings_has_every_column(build):
    """name, environment, type, default, range, reloadable, meaning."""
    out = run(build, "--print-settings", env={}).stdout.splitlines()
    assert out[0].count("|") == 8
    for row in out[2:]:
        cells = [c.strip() for c in row.strip("|").split("|")]
        assert all(cells), f"an empty cell: {row}"
        name, env = cells[0].strip("`"), cells[1].strip("`")
        assert env == name.upper().replace(".", "_"), row


def test_a_port_in_use_is_named(world):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = world.run(env=world.env(SERVER_PORT=port, SERVER_BIND="127.0.0.1", JOURNAL_PATH=world.folder + "/journal-taken"))
    assert result.returncode == 1 and str(port) in result.stderr, result


def test_the_port_of_another_instance_is_in_use_too(world):
    """Not shared in silence, whatever the reactors do among themselves."""
    result = world.run(env=world.env(SERVER_PORT=world.service.port, SERVER_BIND="127.0.0.1", JOURNAL_PATH=world.folder + "/journal-taken"), timeout=5)
    assert result.returncode == 1 and str(world.service.port) in result.stderr, result


def test_a_second_instance_takes_the_next_slot(world):
    """JOURNAL_PATH is a directory; an instance takes the first slot whose lock it gets."""
    other = world.start_service(name="slot")
    try:
        [ready] = other.wait_log("start.ready")
        assert ready["slot"] == 1
        c = world.customer()
        c.api.at(other).change(c.body()).expect(200)
    finally:
        other.stop()


def test_a_journal_path_that_cannot_be_written_is_refused(world):
    result = world.run(env=world.env(SERVER_PORT="0", JOURNAL_PATH="/proc/nowhere"))
    assert result.returncode == 1 and "/proc/nowhere" in result.stderr, result


# --- SIGHUP ---


def test_sighup_reloads_what_can_be_and_says_what_cannot(world, tmp_path):
    file = tmp_path / "reload.yaml"
    file.write_text("log:\n  level: info\nserver:\n  threads: 2\n")
    new_secret = "a-new-secret-of-the-issuer-of-more-than-32-bytes"
    secret_file = tmp_path / "jwt"
    secret_file.write_text(tokens.SECRET)
    service = world.start_service(name="reload", config=str(file), JOURNAL_PATH=world.folder + "/journal-r", SERVER_THREADS="", JWT_SECRET="",
                                  JWT_SECRET_FILE=str(secret_file))
    world.issued.append(new_secret)
    try:
        c = world.customer()
        old = world.api(c.token, service=service)
        new = world.api(world.token(secret=new_secret, sub=c.subject, customerId=c.customer_id, lineNumber=c.line), service=service)
        old.menu().expect(200)
        new.menu().expect(401)
        assert not [e for e in service.lines() if e["level"] == "debug"]
        file.write_text("log:\n  level: debug\nserver:\n  threads: 3\n")
        secret_file.write_text(new_secret)
        service.process.signal(1)
        service.wait_log("reload.done")
        assert any("log.level" in str(e) for e in service.events("reload.applied"))
        assert any("server.threads" in str(e) for e in service.events("reload.needs_restart"))
        new.menu().expect(200)
        old.menu().expect(401)
        # A wrong file changes nothing and is said.
        file.write_text("log:\n  level: loud\n")
        service.process.signal(1)
        service.wait_log("reload.refused")
        new.menu().expect(200)
        assert "log.level" in str(service.events("reload.refused")[-1])
    finally:
        service.stop()


def test_sighup_for_new_key_files_can_be_given_any_number_of_times(world, tmp_path):
    """Keys are rotated by cron, certificates by cert-manager: each is a SIGHUP that changes no setting (CONTRACT.md 6)."""
    file = tmp_path / "often.yaml"
    file.write_text("log:\n  level: info\n")
    service = world.start_service(name="often", config=str(file), JOURNAL_PATH=world.folder + "/journal-o")
    try:
        for done in range(1, 71):
            service.process.signal(1)
            until(lambda: len(service.events("reload.done")) + len(service.events("reload.refused")) >= done, 5, f"reload {done}")
        assert not service.events("reload.refused") and not service.events("reload.applied")
        file.write_text("log:\n  level: debug\n")
        service.process.signal(1)
        assert "log.level" in str(service.wait_log("reload.applied"))
    finally:
        service.stop()
