-- Months of product_change_history. A month is a calendar month in UTC: product_change_history_yyyy_mm.
--
-- The functions run with their owner's rights, since the service's role may not create tables. So they take
-- nothing from the caller but a time or a number, and their search_path is pinned.
--
-- Locks, always in this order: the advisory lock (one maker at a time, over all instances), the parent, the
-- DEFAULT partition in ACCESS EXCLUSIVE (whoever needs it waits).
--   * Nothing in DEFAULT: the parent in SHARE UPDATE EXCLUSIVE. Readers and writers of other months go on.
--   * Rows to be moved: the parent in ACCESS EXCLUSIVE. A reader that was planned before the month was attached
--     would look for the moved rows neither in the new partition (not in its plan) nor in DEFAULT (moved
--     before its snapshot), and miss them.
-- Who holds DEFAULT never waits for the first two, unless he calls these functions in a transaction that has
-- read or written the history: do not. A maker gives up after lock_timeout (55P03) instead of standing in
-- everybody's way behind a long reader; rows then go to DEFAULT, and the next call moves them.

-- Has the month's partition been made? For the functions below only.
CREATE FUNCTION product_change.has_partition(part text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM pg_inherits
                   WHERE inhparent = 'product_change.product_change_history'::regclass
                     AND inhrelid = to_regclass(format('product_change.%I', part)))
$$;

-- Has DEFAULT any row that a partition can be made for? For the functions below only.
CREATE FUNCTION product_change.has_rows_to_move() RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM ONLY product_change.product_change_history_default
                   WHERE requested_at >= '2000-01-01T00:00:00Z' AND requested_at < '2100-01-01T00:00:00Z')
$$;

-- Makes the partition of the month that the time falls in and moves its rows out of DEFAULT. True: made just
-- now; false: it was there. Any number of callers at once. 22023 for a time outside 2000..2099.
CREATE FUNCTION product_change.ensure_partition(month timestamptz) RETURNS boolean
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
    move     boolean;
BEGIN
    -- Bounded, so that a wrong clock or a wrong caller cannot make tables without end.
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
    move := product_change.has_rows_to_move();
    LOOP
        BEGIN
            IF move THEN
                LOCK TABLE ONLY product_change.product_change_history IN ACCESS EXCLUSIVE MODE;
            ELSE
                LOCK TABLE ONLY product_change.product_change_history IN SHARE UPDATE EXCLUSIVE MODE;
            END IF;
            LOCK TABLE ONLY product_change.product_change_history_default IN ACCESS EXCLUSIVE MODE;
            IF NOT move AND product_change.has_rows_to_move() THEN
                RAISE EXCEPTION USING ERRCODE = 'PCS01'; -- one came meanwhile: gives both locks back
            END IF;
            -- Made beside the parent and attached: CREATE ... PARTITION OF would lock every reader out.
            EXECUTE format('CREATE TABLE product_change.%I'
                           ' (LIKE product_change.product_change_history INCLUDING ALL)', part);
            EXECUTE format('WITH moved AS (DELETE FROM ONLY product_change.product_change_history_default'
                           ' WHERE requested_at >= %L AND requested_at < %L RETURNING *)'
                           ' INSERT INTO product_change.%I SELECT * FROM moved', first_at, next_at, part);
            EXECUTE format('ALTER TABLE product_change.product_change_history ATTACH PARTITION product_change.%I'
                           ' FOR VALUES FROM (%L) TO (%L)', part, first_at, next_at);
            RETURN true;
        EXCEPTION WHEN SQLSTATE 'PCS01' THEN
            move := true;
        END;
    END LOOP;
END
$$;

-- This month, `ahead` (0..24) months after it, and every month that has rows in DEFAULT (24 in one call). How
-- many were made.
CREATE FUNCTION product_change.ensure_partitions(ahead integer) RETURNS integer
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
    PERFORM pg_advisory_xact_lock(x'7063735f70617274'::bigint); -- before DEFAULT is read: the order above
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
    RETURN made;
END
$$;

REVOKE ALL ON FUNCTION product_change.has_partition(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION product_change.has_rows_to_move() FROM PUBLIC;
REVOKE ALL ON FUNCTION product_change.ensure_partition(timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION product_change.ensure_partitions(integer) FROM PUBLIC;
