-- Rows that lie in DEFAULT although their month has a partition are moved there too.
--
-- Seen once, in two rows of a test with several makers and writers (PostgreSQL 15). Probably a writer was building its
-- list of partitions in the moment in which the month's was attached: the list is then one short until the next change of
-- the table, and DEFAULT's own check is made from the same list. A query over that month's days would not look into
-- DEFAULT. Such rows are moved once a day, at the worker's start and by `migrate`.

-- Moves DEFAULT's rows of the month that begins at first_at into its partition, which exists. Locks as in
-- 0002_partitions.sql; the caller holds the advisory lock. For the function below only.
CREATE FUNCTION product_change.move_left_rows(first_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
AS $$
BEGIN
    LOCK TABLE ONLY product_change.product_change_history IN ACCESS EXCLUSIVE MODE;
    LOCK TABLE ONLY product_change.product_change_history_default IN ACCESS EXCLUSIVE MODE;
    -- A conflict is the same row, forwarded again: the one in the partition stays.
    EXECUTE format('WITH moved AS (DELETE FROM ONLY product_change.product_change_history_default'
                   ' WHERE requested_at >= %L AND requested_at < %L RETURNING *)'
                   ' INSERT INTO product_change.%I SELECT * FROM moved ON CONFLICT DO NOTHING',
                   first_at, first_at + interval '1 month',
                   to_char(first_at, '"product_change_history_"YYYY_MM'));
END
$$;

-- As in 0002_partitions.sql; then also the rows of months that were there. How many months were made.
CREATE OR REPLACE FUNCTION product_change.ensure_partitions(ahead integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO'
SET lock_timeout = '2s'
AS $$
DECLARE
    made   integer := 0;
    months timestamptz[];
    month  timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(x'7063735f70617274'::bigint); -- before DEFAULT is read: the order of 0002
    SELECT array_agg(date_trunc('month', now()) + make_interval(months => i)) INTO months
      FROM generate_series(0, least(greatest(coalesce(ahead, 0), 0), 24)) i;
    months := months || ARRAY(
        SELECT DISTINCT date_trunc('month', requested_at)
          FROM ONLY product_change.product_change_history_default
         WHERE requested_at >= '2000-01-01T00:00:00Z' AND requested_at < '2100-01-01T00:00:00Z'
         ORDER BY 1 LIMIT 24);
    FOREACH month IN ARRAY months LOOP
        made := made + product_change.ensure_partition(month)::int;
    END LOOP;
    FOR month IN SELECT DISTINCT date_trunc('month', requested_at)
                   FROM ONLY product_change.product_change_history_default
                  WHERE requested_at >= '2000-01-01T00:00:00Z' AND requested_at < '2100-01-01T00:00:00Z'
    LOOP
        IF product_change.has_partition(to_char(month, '"product_change_history_"YYYY_MM')) THEN
            PERFORM product_change.move_left_rows(month);
        END IF;
    END LOOP;
    RETURN made;
END
$$;

REVOKE ALL ON FUNCTION product_change.move_left_rows(timestamptz) FROM PUBLIC;
