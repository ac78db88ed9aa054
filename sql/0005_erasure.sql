-- Erasing a line's personal fields (`forget`; docs/tamper-evidence.md, docs/operations.md).

-- That it was done, by whom and why; not of whom.
CREATE TABLE product_change.erasure (
    id          uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
    at          timestamptz NOT NULL DEFAULT now(),
    instance    text        NOT NULL, -- the journal that asked
    actor       text        NOT NULL,
    reason      text        NOT NULL,
    rows        integer     NOT NULL, -- of the history
    links       integer     NOT NULL, -- whose salt was erased
    request_ids text[]      NOT NULL  -- of the rows
);

-- Erases the personal columns of the line's rows and the salts of their links; digests and links stay, so that the chain
-- still holds. `refused`: request ids of the line's changes whose row PostgreSQL has refused, so that only their links are
-- here. Repeating it is harmless. One row for each instance that had rows of the line (how many, and how new the newest
-- is: its journal may have them too); one with NULL when there was none.
CREATE FUNCTION product_change.erase_line(line text, refused text[], by_instance text, by_actor text, why text)
RETURNS TABLE (erased_links integer, of_instance text, erased_rows integer, newest_ms bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    ids       text[];
    instances text[];
    counts    integer[];
    newest    bigint[];
BEGIN
    IF line IS NULL OR line !~ '^010[0-9]{8}$' THEN
        RAISE EXCEPTION 'no line number' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    WITH gone AS (
        UPDATE product_change.product_change_history h
           SET line_number = 'erased', customer_id = NULL, actor = NULL, failure_reason = NULL
         WHERE h.line_number = line RETURNING h.request_id, h.instance, h.requested_at),
    each_one AS (
        SELECT gone.instance, count(*) AS n, max(requested_at) FILTER (WHERE isfinite(requested_at)) AS last_at, array_agg(request_id::text) AS members
          FROM gone GROUP BY gone.instance)
    SELECT array_agg(e.instance ORDER BY e.instance), array_agg(n::integer ORDER BY e.instance),
           array_agg((extract(epoch FROM last_at) * 1000)::bigint ORDER BY e.instance),
           (SELECT array_agg(id) FROM each_one, unnest(members) id)
      INTO instances, counts, newest, ids FROM each_one e;
    ids := coalesce(ids, '{}');
    WITH bare AS (
        UPDATE product_change.product_change_history_chain c SET salt = NULL
         WHERE c.kind = 1 AND c.salt IS NOT NULL
           AND (c.request_id = ANY (ids)
                -- of somebody else's row nothing is erased, whatever the caller says
                OR c.request_id = ANY (refused) AND NOT EXISTS (
                    SELECT FROM product_change.product_change_history h
                     WHERE h.request_id::text = c.request_id AND h.line_number <> 'erased'))
        RETURNING 1)
    SELECT count(*) INTO erased_links FROM bare;
    INSERT INTO product_change.erasure (instance, actor, reason, rows, links, request_ids)
    VALUES (by_instance, by_actor, why, cardinality(ids), erased_links, ids);
    IF instances IS NULL THEN
        RETURN NEXT;
        RETURN;
    END IF;
    FOR i IN 1 .. cardinality(instances) LOOP
        of_instance := instances[i];
        erased_rows := counts[i];
        newest_ms := newest[i];
        RETURN NEXT;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION product_change.erase_line(text, text[], text, text, text) FROM PUBLIC;
