-- No row is left in DEFAULT beside its month's partition.
--
-- 0002_partitions.sql let readers and writers go on while a month was attached (parent in SHARE UPDATE EXCLUSIVE). But
-- who is building his list of partitions in that very moment gets the old one and keeps it until the table's next
-- change (PostgreSQL 15, seen in a debugger): all his rows of that month go to DEFAULT, whose own check is made from the
-- same list, and all others look for them in the partition only. So a maker waits for everybody now, as the makers of
-- kos_integration_log's months do: whoever builds a list holds a lock on the parent. Months are made ahead, in
-- milliseconds; behind a long reader a maker still gives up after lock_timeout, and tries again.

-- As in 0002_partitions.sql, but for the parent's lock.
CREATE OR REPLACE FUNCTION product_change.ensure_partition(month timestamptz) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
SET lock_timeout = '2s'
AS $$
DECLARE
    first_at timestamptz;
    next_at  timestamptz;
    part     text;
BEGIN
    IF month IS NULL OR month < '2000-01-01T00:00:00Z' OR month >= '2100-01-01T00:00:00Z' THEN
        RAISE EXCEPTION 'no partition is made for %', coalesce(month::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    first_at := date_trunc('month', month);
    next_at := first_at + interval '1 month';
    part := to_char(first_at, '"product_change_history_"YYYY_MM');
    IF product_change.has_partition(part) THEN
        RETURN false;
    END IF;

    PERFORM pg_advisory_xact_lock(x'7063735f70617274'::bigint); -- "pcs_part"
    IF product_change.has_partition(part) THEN
        RETURN false;
    END IF;
    LOCK TABLE ONLY product_change.product_change_history IN ACCESS EXCLUSIVE MODE;
    LOCK TABLE ONLY product_change.product_change_history_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE product_change.%I'
                   ' (LIKE product_change.product_change_history INCLUDING ALL)', part);
    EXECUTE format('WITH moved AS (DELETE FROM ONLY product_change.product_change_history_default'
                   ' WHERE requested_at >= %L AND requested_at < %L RETURNING *)'
                   ' INSERT INTO product_change.%I SELECT * FROM moved', first_at, next_at, part);
    EXECUTE format('ALTER TABLE product_change.product_change_history ATTACH PARTITION product_change.%I'
                   ' FOR VALUES FROM (%L) TO (%L)', part, first_at, next_at);
    RETURN true;
END
$$;

DROP FUNCTION product_change.has_rows_to_move();

-- Once, for what was left before: moves it, and makes everybody build his list anew.
CREATE FUNCTION product_change.move_left_rows() RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
DECLARE
    first_at timestamptz;
    span     text;
    part     text;
    other    bigint := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(x'7063735f70617274'::bigint);
    LOCK TABLE ONLY product_change.product_change_history IN ACCESS EXCLUSIVE MODE;
    LOCK TABLE ONLY product_change.product_change_history_default IN ACCESS EXCLUSIVE MODE;
    FOR first_at IN SELECT DISTINCT date_trunc('month', requested_at)
                      FROM ONLY product_change.product_change_history_default
                     WHERE requested_at >= '2000-01-01T00:00:00Z' AND requested_at < '2100-01-01T00:00:00Z'
    LOOP
        part := to_char(first_at, '"product_change_history_"YYYY_MM');
        CONTINUE WHEN NOT product_change.has_partition(part);
        span := format('d.requested_at >= %L AND d.requested_at < %L', first_at, first_at + interval '1 month');
        EXECUTE format('INSERT INTO product_change.%I SELECT * FROM ONLY product_change.product_change_history_default d'
                       ' WHERE %s ON CONFLICT DO NOTHING', part, span);
        -- One that had been forwarded again is there already; one with other content is nobody's to throw away.
        EXECUTE format('DELETE FROM ONLY product_change.product_change_history_default d USING product_change.%I p'
                       ' WHERE %s AND p.request_id = d.request_id AND p.requested_at = d.requested_at'
                       ' AND to_jsonb(p) - ''created_at'' = to_jsonb(d) - ''created_at''', part, span);
        EXECUTE format('SELECT %s + count(*) FROM ONLY product_change.product_change_history_default d WHERE %s',
                       other, span) INTO other;
    END LOOP;
    IF other > 0 THEN
        RAISE WARNING '% row(s) of product_change_history_default differ from those of the same key in their month', other;
    END IF;
    ALTER TABLE ONLY product_change.product_change_history ALTER COLUMN requested_at SET STATISTICS -1; -- changes nothing
END
$$;

DO $$ BEGIN PERFORM product_change.move_left_rows(); END $$;

DROP FUNCTION product_change.move_left_rows();
