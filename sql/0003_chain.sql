-- The hash chain over the history (docs/tamper-evidence.md): one link for each final row of an instance, stored in the
-- statement that stores the row. `verify-history` reads it. Applied by `migrate`, in one transaction.

CREATE TABLE product_change.product_change_history_chain (
    instance     text        NOT NULL, -- the journal whose chain it is
    seq          bigint      NOT NULL, -- 1, 2, 3 ... without gaps
    kind         smallint    NOT NULL, -- 1: of a row; 2: PostgreSQL refused the row of request_id, whose link stands alone
    request_id   text        NOT NULL, -- of the row. Text, so that whatever PostgreSQL refuses, the link is stored
    requested_ms bigint      NOT NULL, -- requested_at of the row, Unix milliseconds; a number for the same reason
    key_id       bytea       NOT NULL, -- which key the link was made with
    previous     bytea       NOT NULL, -- link of seq - 1; zero in the first one
    digests      bytea       NOT NULL, -- SHA-256 of each group of columns: products, validation, result, line_number,
                                       -- customer_id, actor, failure_reason
    salt         bytea,                -- of the last four of them; erased together with the columns they tell of
    link         bytea       NOT NULL, -- HMAC-SHA256 of all of that but salt and key_id
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance, seq)
);

-- Which link has a row, and was it refused?
CREATE INDEX product_change_history_chain_request ON product_change.product_change_history_chain (request_id);
