"""Secrets (issue 5, point 5): examples are refused, what holds them is closed, and nothing of them is to be seen."""

import os
import resource
import secrets
import stat
import subprocess

import pytest

from harness import servers, tokens
from harness.service import SANITIZER_ENV, program
from harness.wait import until

GOOD = {"KOS_BASE_URL": "http://127.0.0.1:1", "JWT_SECRET": secrets.token_hex(32)}
KNOWN = [
    ("JWT_SECRET", tokens.SECRET),
    ("JWT_SECRET", "a-string-secret-at-least-256-bits-long"),
    ("JWT_SECRET", "phonebill-jwt-secret-key-change-in-production"),
    ("JWT_SECRET", "secretsecretsecretsecretsecretsecret"),
    ("JWT_PREVIOUS_SECRET", tokens.SECRET),
    ("MVNO_WEBHOOK_SECRET", "webhook-secret-of-the-integration-tests"),
    ("HISTORY_CHAIN_KEY", "0123456789abcdef0123456789abcdef"),
    ("DB_PASSWORD", "changeme"),
    ("DB_MIGRATE_PASSWORD", servers.MIGRATE_PASS),
    ("REDIS_PASSWORD", "please-change-me"),
]


def run(build, *argv, **env):
    return subprocess.run([program(build), *argv], capture_output=True, text=True, timeout=20,
                          env={"PATH": os.environ["PATH"], **SANITIZER_ENV, **GOOD, **env})


@pytest.mark.parametrize("name, value", KNOWN)
def test_a_well_known_secret_is_refused_and_not_repeated(build, tmp_path, name, value):
    """By --check-config and by a start, from the environment and from a file; the error names the setting only."""
    file = tmp_path / "secret"
    file.write_text(value + "\n")
    for env in ({name: value}, {name: "", name + "_FILE": str(file)}):
        for argv in (["--check-config"], []):
            result = run(build, *argv, JOURNAL_PATH=str(tmp_path), **env)
            assert result.returncode == 1 and name in result.stderr and "everybody can read" in result.stderr, result
            assert value not in result.stderr + result.stdout
    assert os.listdir(tmp_path) == ["secret"], "nothing was begun"


@pytest.mark.parametrize("name, value", KNOWN)
def test_it_is_accepted_on_ones_own_machine(build, name, value):
    assert run(build, "--check-config", INSECURE_EXAMPLE_SECRETS="true", **{name: value}).returncode == 0


def test_an_accepted_example_is_warned_about_and_so_is_a_weak_password(world):
    named = {e["setting"].split(" ")[0] for e in world.service.events("config.well_known_secret")}
    assert named == {"jwt.secret", "mvno.webhook_secret", "db.password", "redis.password"}


def test_a_password_that_the_neighbour_should_not_have_taken_is_only_warned_about(build):
    assert run(build, "--check-config", DB_PASSWORD="postgres", REDIS_PASSWORD="redis").returncode == 0


def test_no_option_takes_a_secret(build):
    """So that none can stand on a command line, where every user of the machine reads it."""
    words = run(build, "--help").stdout.split("settings:")[0].lower()
    assert not [w for w in ("secret", "password", "token") if f"--{w}" in words]
    for option in ("--jwt-secret=x", "--db-password=x"):
        assert run(build, option).returncode == 2


def test_the_running_process_gives_nothing_away(world):
    """No core dump, not to be attached to by another process of its user, umask 077, no secret on its command line."""
    pid = world.service.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_CORE)
    assert limits == (0, 0), limits
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines() if ":\t" in line)
    assert status["Umask"] == "0077", status["Umask"]
    # A process that may not be dumped has its /proc files owned by root, whoever runs it.
    assert os.stat(f"/proc/{pid}/environ").st_uid == 0
    command = open(f"/proc/{pid}/cmdline", "rb").read().decode()
    assert not [s for s in world.issued if s in command]


def test_not_dumpable_as_an_ordinary_user(world, session):
    """The same as a user that is not root: only then is the ownership of /proc a sign."""
    if os.geteuid() != 0:
        pytest.skip("runs as an ordinary user already")
    folder = world.folder + "/nobody"
    os.makedirs(folder)
    os.chown(folder, 65534, 65534)
    log = open(world.folder + "/nobody.log", "wb")
    env = {"PATH": os.environ["PATH"], **SANITIZER_ENV, **world.env(JOURNAL_PATH=folder, SERVER_PORT=0)}
    for parent in (world.folder, os.path.dirname(world.folder)):
        os.chmod(parent, 0o755)
    with subprocess.Popen([program(world.build)], env=env, user=65534, group=65534, extra_groups=[], stdout=log, stderr=log) as process:
        try:
            until(lambda: b'"start.ready"' in open(world.folder + "/nobody.log", "rb").read(), 20, "ready as nobody")
            assert os.stat(f"/proc/{process.pid}/environ").st_uid == 0, "dumpable"
            ids = [line.split() for line in open(f"/proc/{process.pid}/status") if line.startswith(("Uid", "Gid", "CapEff"))]
            assert ids[0][1:] == ["65534"] * 4 and ids[1][1:] == ["65534"] * 4 and int(ids[2][1], 16) == 0, ids
        finally:
            process.terminate()
            code = process.wait(20)
    assert code == 0, open(world.folder + "/nobody.log").read()[-2000:]


def test_what_the_journal_writes_is_its_owners_alone(world, customer):
    """The journal's directory 0700, its files and the admin socket 0600: also where the folder above is open."""
    customer.change()
    seen = 0
    for folder, names, files in os.walk(world.service.env["JOURNAL_PATH"]):
        if folder != world.service.env["JOURNAL_PATH"]:
            assert stat.S_IMODE(os.lstat(folder).st_mode) == 0o700, folder
        for name in files:
            path = os.path.join(folder, name)
            assert stat.S_IMODE(os.lstat(path).st_mode) & 0o077 == 0, path
            seen += 1
    assert seen >= 3, "the journal, its log and the socket"




def test_a_slot_that_was_opened_up_is_closed_again(world):
    path = world.folder + "/opened"
    os.makedirs(path + "/0", mode=0o777)
    os.chmod(path + "/0", 0o777)
    service = world.start_service(name="opened", JOURNAL_PATH=path)
    try:
        assert stat.S_IMODE(os.stat(path + "/0").st_mode) == 0o700
    finally:
        service.stop()
