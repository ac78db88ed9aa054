"""The history in PostgreSQL (CONTRACT.md 5): rows, rights, partitions, migrations, outages, nothing twice."""

import datetime
import threading
import time

import psycopg2
import pytest

from harness import checks, servers
from harness.wait import until
from harness.world import World, migrate

WORLD = {"own_postgres": True}
ENV = {"LIMITS_RATE": 0, "HISTORY_QUERY_DEADLINE": "1s"}

HISTORY = ["request_id", "requested_at", "line_number", "customer_id", "current_product_code", "current_product_name", "target_product_code",
           "target_product_name", "status", "result_code", "result_message", "failure_reason", "validation", "kos_order_number", "validated_at",
           "processed_at", "created_at", "instance", "actor"]
LOG = ["request_id", "operation", "attempt", "http_status", "result_code", "outcome", "milliseconds", "breaker_state", "at"]


def columns(world, table):
    return {r["column_name"]: r["data_type"] for r in world.db.rows(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'product_change' AND table_name = %s", table)}


def test_tables_key_and_partitioning_as_in_the_contract(world):
    history = columns(world, "product_change_history")
    assert set(HISTORY) <= set(history), set(HISTORY) - set(history)
    assert history["request_id"] == "uuid" and history["validation"] == "jsonb" and history["requested_at"] == "timestamp with time zone"
    assert set(LOG) <= set(columns(world, "kos_integration_log"))
    [key] = world.db.rows("SELECT pg_get_constraintdef(oid) AS d FROM pg_constraint WHERE contype = 'p'"
                          " AND conrelid = 'product_change.product_change_history'::regclass")
    assert key["d"] == "PRIMARY KEY (request_id, requested_at)"
    [part] = world.db.rows("SELECT pg_get_partkeydef('product_change.product_change_history'::regclass) AS d")
    assert part["d"] == "RANGE (requested_at)"
    [default] = world.db.rows("SELECT column_default AS d FROM information_schema.columns WHERE table_schema = 'product_change'"
                              " AND table_name = 'product_change_history' AND column_name = 'created_at'")
    assert default["d"] == "now()"


def test_ufr_prod_040_the_row_of_a_completed_change(world, customer):
    result = customer.change()
    row = world.row(result["requestId"])
    assert row["line_number"] == customer.line and row["customer_id"] == customer.customer_id
    assert (row["current_product_code"], row["current_product_name"]) == ("LTE_BASIC", "LTE 베이직")
    assert (row["target_product_code"], row["target_product_name"]) == ("LTE_PLUS", "LTE 플러스")
    assert (row["status"], row["result_code"], row["failure_reason"]) == ("COMPLETED", "0000", None)
    assert row["result_message"] == "상품 변경이 완료되었습니다"
    assert [(v["checkType"], v["result"]) for v in row["validation"]] == [(t, "PASS") for t in checks.CHECK_TYPES]
    assert row["kos_order_number"] == result["kosOrderNumber"]
    assert row["requested_at"] == checks.time(result["requestedAt"]) and row["processed_at"] == checks.time(result["processedAt"])
    assert row["requested_at"] <= row["validated_at"] <= row["processed_at"]
    assert abs((row["created_at"] - datetime.datetime.now(datetime.timezone.utc)).total_seconds()) < 60
    assert row["actor"] == customer.subject and row["instance"]


def test_the_row_of_a_refused_change(world, customer, kos):
    kos.fault("result_code", operation="change", lineNumber=customer.line, resultCode="2099")
    error = customer.api.change(customer.body()).expect(409).error
    row = world.row(error["requestId"])
    assert (row["status"], row["result_code"], row["result_message"]) == ("FAILED", "2099", "상품 변경에 실패하였습니다")
    assert row["failure_reason"] == error["details"] and row["kos_order_number"] is None and row["processed_at"]


def test_the_integration_log_of_a_change(world, customer):
    result = customer.change()
    rows = until(lambda: (lambda r: r if len(r) == 2 else None)(world.db.calls(result["requestId"])), 8, "two rows")
    assert [(r["operation"], r["http_status"], r["result_code"]) for r in rows] == [("inquiry", 200, "0000"), ("change", 200, "0000")]
    for r in rows:
        assert r["milliseconds"] >= 0 and r["attempt"] >= 0 and r["breaker_state"].upper() == "CLOSED"


def test_reads_and_what_is_not_recorded_leave_no_row(world, customer):
    customer.api.menu()
    customer.api.validate(customer.body())
    customer.api.change(customer.body("LTE_BASIC"))
    customer.api.change(customer.body(current="5GX_BASIC"))
    world.forwarded()
    assert not world.db.history(line=customer.line)


def test_rights_of_the_services_role(world):
    """select, insert and the SECURITY DEFINER functions; nothing else."""
    c = world.db.as_service()
    cursor = c.cursor()
    for table in ("product_change_history", "kos_integration_log"):
        cursor.execute(f"SELECT count(*) FROM product_change.{table}")
        for sql in (f"UPDATE product_change.{table} SET result_code = 'x'", f"DELETE FROM product_change.{table}", f"TRUNCATE product_change.{table}",
                    f"DROP TABLE product_change.{table}", f"ALTER TABLE product_change.{table} ADD x int", f"CREATE TRIGGER t BEFORE INSERT ON"
                    f" product_change.{table} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"):
            with pytest.raises(psycopg2.Error) as e:
                cursor.execute(sql)
            assert e.value.pgcode == "42501", (sql, e.value)
    for sql in ("CREATE TABLE product_change.x (a int)", "DROP SCHEMA product_change", "CREATE SCHEMA mine", "SET ROLE pcs_migrate"):
        with pytest.raises(psycopg2.Error) as e:
            cursor.execute(sql)
        assert e.value.pgcode == "42501", (sql, e.value)
    parts = world.db.rows("SELECT inhrelid::regclass::text AS t FROM pg_inherits WHERE inhparent = 'product_change.product_change_history'::regclass")
    for part in parts:
        with pytest.raises(psycopg2.Error):
            cursor.execute(f"DELETE FROM {part['t']}")
    for f in world.db.rows("SELECT proname, prosecdef, proconfig FROM pg_proc WHERE pronamespace = 'product_change'::regnamespace AND prosecdef"):
        assert any(x.startswith("search_path=") for x in f["proconfig"] or []), f"{f['proname']}: SECURITY DEFINER without a pinned search_path"
    c.close()


def test_partitions_are_made_ahead(world):
    parts = {r["t"] for r in world.db.rows(
        "SELECT inhrelid::regclass::text AS t FROM pg_inherits WHERE inhparent = 'product_change.product_change_history'::regclass")}
    now = datetime.datetime.now(datetime.timezone.utc)
    following = (now.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)
    for month in (now, following):
        assert f"product_change.product_change_history_{month:%Y_%m}" in parts, parts


def test_a_row_outside_any_partition_is_not_lost_and_its_month_can_still_be_made(world):
    c = world.db.as_service()
    cursor = c.cursor()
    insert = ("INSERT INTO product_change.product_change_history (request_id, requested_at, line_number, target_product_code, status, result_code,"
              " instance) VALUES (gen_random_uuid(), %s, '01000000001', 'X', 'COMPLETED', '0000', 'test')")
    for at in ("2019-05-31T23:59:59Z", "2031-01-01T00:00:00Z"):
        cursor.execute(insert, (at,))
    assert world.db.rows("SELECT count(*) AS n FROM ONLY product_change.product_change_history_default")[0]["n"] == 2
    for at in ("2019-05-15T00:00:00Z", "2031-01-31T00:00:00Z"):
        cursor.execute("SELECT product_change.ensure_partition(%s)", (at,))
        assert cursor.fetchone()[0] is True
        cursor.execute("SELECT product_change.ensure_partition(%s)", (at,))
        assert cursor.fetchone()[0] is False
    assert world.db.rows("SELECT count(*) AS n FROM ONLY product_change.product_change_history_default")[0]["n"] == 0
    assert len(world.db.history(line="01000000001")) == 2
    assert world.db.rows("SELECT count(*) AS n FROM product_change.product_change_history_2019_05")[0]["n"] == 1
    c.close()
    world.db.rows("DELETE FROM product_change.product_change_history WHERE instance = 'test'")  # to verify-history, foreign


def test_migrate_and_verify_history_need_no_key_of_tokens_and_no_carrier(world, tmp_path):
    """Issue 7: they run where the database's secrets are, and these alone (a Kubernetes Job, an operator's shell)."""
    world.forwarded()
    env = {k: v for k, v in world.env().items() if not k.startswith(("JWT_", "KOS_"))}
    run = world.run("verify-history", env=env)
    assert run.returncode == 0, run.stdout + run.stderr
    run = world.run("migrate", env={**env, "DB_MIGRATE_USERNAME": servers.MIGRATE_ROLE, "DB_MIGRATE_PASSWORD": servers.MIGRATE_PASS})
    assert run.returncode == 0, run.stdout + run.stderr
    # a key that is there as a file, and no carrier: one must not get in the way of what stands in for the other
    (tmp_path / "secret").write_text("k" * 40)
    run = world.run("verify-history", env={**env, "JWT_SECRET_FILE": str(tmp_path / "secret")})
    assert run.returncode == 0, run.stdout + run.stderr
    # what is given and wrong is still told
    run = world.run("migrate", env={**env, "DB_PORT": "many"})
    assert run.returncode == 1 and "DB_PORT" in run.stderr and "kos.base_url" not in run.stderr


def test_migrate_twice_and_by_two_at_once(world):
    database = world.postgres.make_database("migrated_by_two")
    results = []
    threads = [threading.Thread(target=lambda: results.append(migrate(world.build, world.postgres, "migrated_by_two", check=False))) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert [r.returncode for r in results] == [0, 0, 0], [(r.stdout, r.stderr) for r in results]
    again = migrate(world.build, world.postgres, "migrated_by_two")
    assert again.returncode == 0
    assert database.rows("SELECT to_regclass('product_change.product_change_history') AS t")[0]["t"]


def test_migrate_says_what_is_missing(world):
    run = migrate(world.build, world.postgres, "no_such_database", check=False)
    assert run.returncode != 0 and "no_such_database" in run.stderr
    run = migrate(world.build, world.postgres, world.db.name, check=False, DB_MIGRATE_PASSWORD="wrong-password")
    assert run.returncode != 0 and "wrong-password" not in run.stderr + run.stdout
    world.postgres.make_database("empty_for_roles")
    run = migrate(world.build, world.postgres, "empty_for_roles", check=False, DB_USERNAME="no_such_role")
    assert run.returncode != 0 and "no_such_role" in run.stderr


def test_migrate_with_one_user_for_both_roles_revokes_nothing(world):
    database = world.postgres.make_database("one_role")
    migrate(world.build, world.postgres, "one_role", DB_USERNAME=servers.MIGRATE_ROLE, DB_PASSWORD=servers.MIGRATE_PASS, DB_MIGRATE_USERNAME="",
            DB_MIGRATE_PASSWORD="")
    c = world.postgres.connect("one_role", servers.MIGRATE_ROLE, servers.MIGRATE_PASS)
    c.cursor().execute("DELETE FROM product_change.kos_integration_log")
    c.close()
    assert database.rows("SELECT count(*) AS n FROM product_change.product_change_history")[0]["n"] == 0


def test_a_row_that_is_already_there_is_not_written_twice(world, customer):
    """Idempotently: the same key again changes nothing."""
    result = customer.change()
    before = world.row(result["requestId"])
    world.service.restart()
    customer.api = world.api(customer.token)
    other = world.customer()
    world.row(other.change()["requestId"])
    assert world.row(result["requestId"]) == before


def test_without_postgresql_the_journey_goes_on_and_history_says_503(world, customer):
    """DEGRADED, still 200; rows wait in the journal; later forwarded, nothing twice."""
    world.postgres.stop()
    try:
        customer.api.menu().expect(200)
        first = customer.change("LTE_PLUS")
        refused = customer.api.change(customer.body("LTE_LEGACY")).expect(409, "VALIDATION_FAILED").error
        assert world.mvno.event(first["requestId"]), "MVNO AP does not wait for it"
        start = time.monotonic()
        customer.api.history().expect(503, "SERVICE_UNAVAILABLE")
        assert time.monotonic() - start < 4
        # What this instance or Redis knows can be looked up; what cannot is 503, never 404.
        assert customer.api.result(first["requestId"]).expect(200).data["processStatus"] == "COMPLETED"
        unknown = customer.api.result("01890a5d-ac96-774b-bcce-b302099a8057")
        unknown.expect(503, "SERVICE_UNAVAILABLE")
        until(lambda: world.api().get("/health/ready").expect(200).json["status"] == "DEGRADED", 5)
        assert world.api().get("/actuator/health/readiness").json == {"status": "UP"}
        assert world.service.metric("pcs_journal_pending", sink="history") >= 2
        # Through a restart without PostgreSQL too.
        world.service.restart()
        customer.api = world.api(customer.token)
        second = customer.change("5GX_BASIC")
        assert customer.api.result(first["requestId"]).expect(200).data["processStatus"] == "COMPLETED"
    finally:
        world.postgres.start()
    for id_ in (first["requestId"], refused["requestId"], second["requestId"]):
        world.row(id_, 15)
    world.forwarded(15)
    assert len(world.db.history(line=customer.line)) == 3
    until(lambda: customer.api.history().status == 200, 10)
    assert customer.api.history().data["pagination"]["totalElements"] == 3
    until(lambda: world.api().get("/health/ready").json["status"] == "UP", 10)


def test_down_at_start(world):
    c = world.customer()
    world.service.stop()
    world.postgres.stop()
    try:
        world.service.start()
        result = world.api(c.token).change(c.body()).expect(200).data
    finally:
        world.postgres.start()
    assert world.row(result["requestId"], 15)["status"] == "COMPLETED"


def test_without_the_schema_rows_wait_in_the_journal(session):
    """The service never migrates; after `migrate` the rows come."""
    w = World(session, database="")
    w.invariants = False
    try:
        c = w.customer()
        result = c.change()
        time.sleep(0.5)
        assert w.db.rows("SELECT to_regnamespace('product_change') AS n")[0]["n"] is None
        c.api.history().expect(503, "SERVICE_UNAVAILABLE")
        migrate(w.build, w.postgres, w.db.name)
        assert w.row(result["requestId"], 20)["status"] == "COMPLETED"
        until(lambda: c.api.history().status == 200, 10)
        w.check_invariants()
    finally:
        w.close()


def test_a_history_that_is_kept_waiting_is_503_within_its_deadline(world, customer):
    """A hung PostgreSQL: history queries answer 503, everything else is unaffected."""
    customer.change()
    world.forwarded()
    lock = world.postgres.connect(world.db.name)
    lock.autocommit = False
    lock.cursor().execute("LOCK TABLE product_change.product_change_history IN ACCESS EXCLUSIVE MODE")
    try:
        start = time.monotonic()
        customer.api.history().expect(503, "SERVICE_UNAVAILABLE")
        assert time.monotonic() - start < 3
        start = time.monotonic()
        result = customer.change("5GX_BASIC")
        customer.api.menu().expect(200)
        assert time.monotonic() - start < 2
    finally:
        lock.rollback()
        lock.close()
    assert world.row(result["requestId"], 15)
    until(lambda: customer.api.history().status == 200, 10)


def test_two_instances_write_one_history(world, customer):
    second = world.start_service(name="pg-second", JOURNAL_PATH=world.folder + "/journal-2")
    try:
        a = customer.change("LTE_PLUS")
        b = customer.api.at(second).change(customer.body("5GX_BASIC")).expect(200).data
        rows = [world.row(r["requestId"]) for r in (a, b)]
        assert rows[0]["instance"] != rows[1]["instance"]
        for api in (customer.api, customer.api.at(second)):
            assert [h["requestId"] for h in api.history().data["history"]] == [b["requestId"], a["requestId"]]
            assert api.result(a["requestId"]).expect(200) and api.result(b["requestId"]).expect(200)
        # Without Redis' shared entry the other instance still finds it, in PostgreSQL.
        world.cache.flushdb()
        assert customer.api.result(b["requestId"]).expect(200).data["processStatus"] == "COMPLETED"
    finally:
        second.stop()
