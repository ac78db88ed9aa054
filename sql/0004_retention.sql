-- kos_integration_log by months, and retention: what is older than a setting says is dropped, a month at a time
-- (history.retention, history.call_retention; docs/operations.md).
--
-- Programs older than this migration go on working: they insert into the same table by the same columns, and make
-- no months of the log, so that their rows go to DEFAULT until a newer program moves them.

-- What there was becomes the partition of everything before next month (UTC), without being copied; later rows, of a
-- clock that was wrong, go to DEFAULT.
ALTER TABLE product_change.kos_integration_log RENAME TO kos_integration_log_before;
ALTER INDEX product_change.kos_integration_log_pkey RENAME TO kos_integration_log_before_pkey;
ALTER INDEX product_change.kos_integration_log_request RENAME TO kos_integration_log_before_request;
ALTER INDEX product_change.kos_integration_log_at RENAME TO kos_integration_log_before_at;

CREATE TABLE product_change.kos_integration_log
    (LIKE product_change.kos_integration_log_before INCLUDING DEFAULTS) PARTITION BY RANGE (at);
ALTER TABLE product_change.kos_integration_log
    ADD CONSTRAINT kos_integration_log_pkey PRIMARY KEY (instance, seq, at);
CREATE INDEX kos_integration_log_request ON product_change.kos_integration_log (request_id);
CREATE INDEX kos_integration_log_at ON product_change.kos_integration_log (at);
CREATE TABLE product_change.kos_integration_log_default
    PARTITION OF product_change.kos_integration_log DEFAULT;

DO $$
DECLARE
    until timestamptz := (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
    WITH later AS (DELETE FROM product_change.kos_integration_log_before WHERE at >= until RETURNING *)
    INSERT INTO product_change.kos_integration_log_default SELECT * FROM later;
    IF EXISTS (SELECT FROM product_change.kos_integration_log_before) THEN
        EXECUTE format('ALTER TABLE product_change.kos_integration_log'
                       ' ATTACH PARTITION product_change.kos_integration_log_before'
                       ' FOR VALUES FROM (MINVALUE) TO (%L)', until);
    ELSE
        DROP TABLE product_change.kos_integration_log_before;
    END IF;
END
$$;

-- Locks: as 0002_partitions.sql has it (advisory lock, parent, DEFAULT), one parent in a transaction: a writer holds
-- rows of both tables.

-- Where a partition ends. NULL: DEFAULT. For the functions below only.
CREATE FUNCTION product_change.partition_end(part oid) RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
    SELECT substring(pg_get_expr(relpartbound, oid) FROM $re$TO \('([^']+)'\)$re$)::timestamptz
      FROM pg_class WHERE oid = part
$$;

-- Makes the log's partition of the month that the time falls in, unless there is one, and moves its rows out of DEFAULT.
-- True: made. For the function below only.
CREATE FUNCTION product_change.make_log_month(month timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
DECLARE
    first_at timestamptz := date_trunc('month', month);
    next_at  timestamptz := first_at + interval '1 month';
    part     text := to_char(first_at, '"kos_integration_log_"YYYY_MM');
BEGIN
    IF to_regclass(format('product_change.%I', part)) IS NOT NULL OR EXISTS (
        SELECT FROM pg_inherits WHERE inhparent = 'product_change.kos_integration_log'::regclass
           AND inhrelid = to_regclass('product_change.kos_integration_log_before')
           AND product_change.partition_end(inhrelid) >= next_at) THEN
        RETURN false;
    END IF;
    -- Nobody reads the log but operators, so no care is taken of readers: ACCESS EXCLUSIVE in any case.
    LOCK TABLE ONLY product_change.kos_integration_log IN ACCESS EXCLUSIVE MODE;
    LOCK TABLE ONLY product_change.kos_integration_log_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE product_change.%I'
                   ' (LIKE product_change.kos_integration_log INCLUDING ALL)', part);
    EXECUTE format('WITH moved AS (DELETE FROM ONLY product_change.kos_integration_log_default'
                   ' WHERE at >= %L AND at < %L RETURNING *)'
                   ' INSERT INTO product_change.%I SELECT * FROM moved', first_at, next_at, part);
    EXECUTE format('ALTER TABLE product_change.kos_integration_log ATTACH PARTITION product_change.%I'
                   ' FOR VALUES FROM (%L) TO (%L)', part, first_at, next_at);
    RETURN true;
END
$$;

-- The log's partitions: this month, `ahead` (0..24) months after it, and every month that has rows in DEFAULT (24 in one
-- call). How many were made.
CREATE FUNCTION product_change.ensure_log_partitions(ahead integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '2s'
AS $$
DECLARE
    made   integer := 0;
    months timestamptz[];
    month  timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(x'7063735f70617274'::bigint); -- "pcs_part"
    SELECT array_agg(date_trunc('month', now()) + make_interval(months => i)) INTO months
      FROM generate_series(0, least(greatest(coalesce(ahead, 0), 0), 24)) i;
    months := months || ARRAY(
        SELECT DISTINCT date_trunc('month', at) FROM ONLY product_change.kos_integration_log_default
         WHERE at >= '2000-01-01T00:00:00Z' AND at < '2100-01-01T00:00:00Z'
         ORDER BY 1 LIMIT 24);
    FOREACH month IN ARRAY months LOOP
        made := made + product_change.make_log_month(month)::int;
    END LOOP;
    RETURN made;
END
$$;

-- Drops up to three partitions of the parent that end at kept_from or before. The parent and its DEFAULT have to be
-- locked. For the functions below only.
CREATE FUNCTION product_change.drop_months(parent text, kept_from timestamptz) RETURNS integer
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
DECLARE
    part    regclass;
    dropped integer := 0;
BEGIN
    FOR part IN SELECT inhrelid FROM pg_inherits
                 WHERE inhparent = to_regclass(format('product_change.%I', parent))
                   AND product_change.partition_end(inhrelid) <= kept_from
                 ORDER BY product_change.partition_end(inhrelid) LIMIT 3 LOOP
        EXECUTE format('DROP TABLE %s', part);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

-- Removes the log's months that ended `keep` ago or longer (a day at the least). What it removed, a bounded part in one
-- call: 0 when nothing is left to do.
CREATE FUNCTION product_change.retain_log(keep interval) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '2s'
AS $$
DECLARE
    kept_from timestamptz := date_trunc('month', now() - keep);
    removed   integer;
BEGIN
    IF keep IS NULL OR keep < interval '1 day' THEN
        RAISE EXCEPTION 'calls are kept for a day at the least' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT EXISTS (SELECT FROM ONLY product_change.kos_integration_log_default WHERE at < kept_from) AND NOT EXISTS (
        SELECT FROM pg_inherits WHERE inhparent = 'product_change.kos_integration_log'::regclass
           AND product_change.partition_end(inhrelid) <= kept_from) THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(x'7063735f70617274'::bigint);
    LOCK TABLE ONLY product_change.kos_integration_log IN ACCESS EXCLUSIVE MODE;
    LOCK TABLE ONLY product_change.kos_integration_log_default IN ACCESS EXCLUSIVE MODE;
    removed := product_change.drop_months('kos_integration_log', kept_from);
    WITH gone AS (DELETE FROM ONLY product_change.kos_integration_log_default WHERE at < kept_from RETURNING 1)
    SELECT removed + count(*) INTO removed FROM gone;
    RETURN removed;
END
$$;

-- Links of rows that are gone keep their place in the chain, but not their salt: with it, a digest tells a line's number
-- to whoever tries them all.
CREATE INDEX product_change_history_chain_salted
    ON product_change.product_change_history_chain (requested_ms) WHERE salt IS NOT NULL;

-- Removes the history's months that ended `keep` ago or longer (31 days at the least), then the salts of their links. What
-- it removed, a bounded part in one call: 0 when nothing is left to do.
CREATE FUNCTION product_change.retain_history(keep interval) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET lock_timeout = '2s'
AS $$
DECLARE
    kept_from timestamptz := date_trunc('month', now() - keep);
    removed   integer := 0;
BEGIN
    IF keep IS NULL OR keep < interval '31 days' THEN
        RAISE EXCEPTION 'the history is kept for 31 days at the least' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF EXISTS (SELECT FROM ONLY product_change.product_change_history_default WHERE requested_at < kept_from) OR EXISTS (
        SELECT FROM pg_inherits WHERE inhparent = 'product_change.product_change_history'::regclass
           AND product_change.partition_end(inhrelid) <= kept_from) THEN
        PERFORM pg_advisory_xact_lock(x'7063735f70617274'::bigint);
        LOCK TABLE ONLY product_change.product_change_history IN ACCESS EXCLUSIVE MODE;
        LOCK TABLE ONLY product_change.product_change_history_default IN ACCESS EXCLUSIVE MODE;
        removed := product_change.drop_months('product_change_history', kept_from);
        WITH gone AS (DELETE FROM ONLY product_change.product_change_history_default
                       WHERE requested_at < kept_from RETURNING 1)
        SELECT removed + count(*) INTO removed FROM gone;
    END IF;
    IF removed = 0 THEN
        WITH bare AS (
            UPDATE product_change.product_change_history_chain c SET salt = NULL
             WHERE (instance, seq) IN (
                SELECT instance, seq FROM product_change.product_change_history_chain
                 WHERE salt IS NOT NULL AND requested_ms < extract(epoch FROM kept_from) * 1000
                 ORDER BY requested_ms LIMIT 10000)
               -- one that came late has its row, and keeps the salt until that is removed
               AND NOT EXISTS (SELECT FROM product_change.product_change_history h
                                WHERE h.requested_at < kept_from AND h.request_id::text = c.request_id)
            RETURNING 1)
        SELECT count(*) INTO removed FROM bare;
    END IF;
    RETURN removed;
END
$$;

REVOKE ALL ON FUNCTION product_change.partition_end(oid) FROM PUBLIC;
REVOKE ALL ON FUNCTION product_change.make_log_month(timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION product_change.ensure_log_partitions(integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION product_change.drop_months(text, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION product_change.retain_log(interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION product_change.retain_history(interval) FROM PUBLIC;
