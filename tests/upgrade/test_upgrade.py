"""Issue 7, point 4: upgrade and rollback without a lost or doubled change; old and new version side by side on the same Redis
and PostgreSQL, migrations that both can live with, a journal handed over."""

import hashlib
import json
import os
import sqlite3
import subprocess
import time

import pytest

from harness.service import SANITIZER_ENV, Service, program
from harness.wait import until
from harness.world import World, migrate
from load import Load

ENV = {"LIMITS_RATE": 0}
MIGRATIONS = "SELECT count(*) AS n FROM product_change.schema_migrations"


@pytest.fixture
def world(session, builds):
    """A database that the old version has migrated; no service yet."""
    old, _ = builds
    w = World(session, env=ENV, database="", start=False, own_redis=True)
    migrate(old, w.postgres, w.db.name, DB_MIGRATIONS=old_sql(builds))
    yield w
    w.close()


def old_sql(builds):
    return os.path.join(os.path.dirname(builds[0]), "source", "sql")


def start(world, build, name):
    service = Service(build, world.folder, world.env(), name)
    service.never_in_log = world.issued
    world.services.append(service)
    world.service = world.service or service
    return service


def replace(service, build):
    """Stops the service and starts another program on the same slot, as an upgrade does."""
    service.stop()
    service.argv[0] = program(build)
    began = time.monotonic()
    service.start()
    return time.monotonic() - began


def instance_of(service):
    """As its latest start logged it, which may be a moment after the first answer of readiness."""
    return until(lambda: service.events("start.ready"), 10)[0]["instance"]


def verify(world, build):
    run = subprocess.run([program(build), "verify-history", "--json"], capture_output=True, text=True,
                         env={"PATH": os.environ["PATH"], **SANITIZER_ENV, **world.env()}, timeout=60)
    return json.loads(run.stdout)


def check_everything(world, load, services, build):
    """Each acknowledged change once in the history, ordered once, told once; nothing else was ordered."""
    for s in services:
        until(lambda s=s: s.metric("pcs_journal_pending") == 0, 30, "journals are forwarded")
    rows = {str(r["request_id"]): r for r in world.db.rows("SELECT * FROM product_change.product_change_history")}
    ids = [id_ for id_, _, _ in load.acknowledged]
    assert len(ids) == len(set(ids)), "an id was given out twice"
    missing = [i for i in ids if i not in rows]
    assert not missing, f"{len(missing)} of {len(ids)} acknowledged changes are not in the history: {missing[:3]}"
    assert all(rows[i]["status"] == "COMPLETED" for i in ids)
    completed = [i for i, r in rows.items() if r["status"] == "COMPLETED"]
    applied = [o for o in world.kos.orders(applied=True)]
    assert len(applied) == len(completed), f"{len(applied)} orders applied, {len(completed)} changes completed"
    assert world.kos.stats()["change"]["appliedTwice"] == 0
    for c in load.customers:
        assert c.at_kos() == c.product, "the customer has what they were told"
    for id_ in completed:
        assert len(world.mvno.events(request_id=id_)) == 1, id_
    answer = verify(world, build)
    assert answer["result"] == "clean", answer
    assert answer["totals"]["rows"] == len(rows)


def test_upgrade_and_back_with_customers_all_the_while(world, builds, capsys):
    old, new = builds
    before = world.db.rows(MIGRATIONS)[0]["n"]
    services = [start(world, old, "a"), start(world, old, "b")]
    instances = [instance_of(s) for s in services]
    load = Load(world, services)
    try:
        load.wait(100)
        migrate(new, world.postgres, world.db.name)  # while the old ones serve
        assert world.db.rows(MIGRATIONS)[0]["n"] > before, "the new version has no migration of its own: nothing is tried"
        load.wait(100)
        gaps = [replace(services[0], new)]
        load.wait(150)  # side by side
        gaps.append(replace(services[1], new))
        load.wait(150)
    finally:
        load.stop()
    assert [instance_of(s) for s in services] == instances, "the journals were handed over"
    check_everything(world, load, services, new)
    with capsys.disabled():
        print(f"\nupgrade: {len(load.acknowledged)} changes, {load.refused} told 503 and repeated, {load.repeats} other repeats,"
              f" longest {max(load.latest):.2f} s; the slots were away {gaps[0]:.2f} s and {gaps[1]:.2f} s")


def version_of(file):
    db = sqlite3.connect(f"file:{file}?immutable=1", uri=True)
    try:
        return db.execute("PRAGMA user_version").fetchone()[0]
    finally:
        db.close()


def test_back_to_the_old_version(world, builds, capsys):
    """A journal that the old program knows is taken over; a newer one is refused and left as it is, and its slot retired."""
    old, new = builds
    migrate(new, world.postgres, world.db.name)
    a = start(world, new, "a")
    b = start(world, new, "b")
    load = Load(world, [a, b])
    try:
        load.wait(100)
        file = os.path.join(world.env()["JOURNAL_PATH"], "0", "journal.db")
        a.stop()
        newest, digest = version_of(file), hashlib.sha256(open(file, "rb").read()).hexdigest()
        run = subprocess.run([program(old)], capture_output=True, text=True, timeout=20,
                             env={"PATH": os.environ["PATH"], **a.env}) if old_refuses(world, builds, newest) else None
        if run:
            assert run.returncode == 1 and f"of version {newest}" in run.stdout + run.stderr, run
            assert hashlib.sha256(open(file, "rb").read()).hexdigest() == digest, "it was left as it is"
            retired = subprocess.run([program(new), "retire", "--slot", "0", "--reason", "rollback", "--wait", "60"],
                                     capture_output=True, text=True, timeout=90,
                                     env={"PATH": os.environ["PATH"], **SANITIZER_ENV, **a.env})
            assert retired.returncode == 0, retired
            os.rename(os.path.dirname(file), os.path.join(world.folder, "retired-slot"))
        a.argv[0] = program(old)
        a.start()
        load.wait(100)  # old and new side by side, on the new schema
        ahead = migrate(old, world.postgres, world.db.name, DB_MIGRATIONS=old_sql(builds))
        assert "newer" in ahead.stdout  # and nothing is undone
        load.wait(50)
        replace(a, new)  # and forward again
        load.wait(50)
    finally:
        load.stop()
    for s in (a, b):
        until(lambda s=s: s.metric("pcs_journal_pending") == 0, 30)
    if os.path.exists(os.path.join(world.folder, "retired-slot")):  # its note, for verify-history
        os.makedirs(os.path.join(world.env()["JOURNAL_PATH"], "9"), mode=0o700)
        os.rename(os.path.join(world.folder, "retired-slot", "chain"), os.path.join(world.env()["JOURNAL_PATH"], "9", "chain"))
    check_everything(world, load, [a, b], new)
    with capsys.disabled():
        print(f"\nrollback: {len(load.acknowledged)} changes, {load.refused} told 503 and repeated; journal version {newest},"
              f" {'refused by' if run else 'taken over by'} the old program")


def old_refuses(world, builds, newest):
    """Does the old program know this version? Told by what it makes itself."""
    folder = os.path.join(world.folder, "probe")
    service = Service(builds[0], world.folder, {**world.env(), "JOURNAL_PATH": folder}, "probe")
    service.stop()
    return version_of(os.path.join(folder, "0", "journal.db")) < newest
