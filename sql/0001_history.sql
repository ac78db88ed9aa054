-- The change history and the log of KOS calls (CONTRACT.md 5). Applied by `migrate`, which has made the
-- schema product_change and runs this file in one transaction. Every name is qualified.

-- One final row per change. Written once, by the history worker, never updated by it.
CREATE TABLE product_change.product_change_history (
    request_id           uuid        NOT NULL, -- UUIDv7 of requested_at
    requested_at         timestamptz NOT NULL,
    line_number          text        NOT NULL,
    customer_id          text,
    current_product_code text,
    current_product_name text,
    target_product_code  text        NOT NULL,
    target_product_name  text,
    status               text        NOT NULL CHECK (status IN ('COMPLETED', 'FAILED')),
    result_code          text        NOT NULL,
    result_message       text,                 -- Korean
    failure_reason       text,                 -- Korean
    validation           jsonb,                -- [{checkType, result, message}]
    kos_order_number     text,
    validated_at         timestamptz,
    processed_at         timestamptz,
    created_at           timestamptz NOT NULL DEFAULT now(), -- 생성일시
    instance             text        NOT NULL, -- the journal that forwarded the row
    actor                text,                 -- who asked, or the operator who acted
    PRIMARY KEY (request_id, requested_at)     -- the partition key has to be part of it
) PARTITION BY RANGE (requested_at);

-- A line's history, newest first. A look-up by request_id uses the primary key.
CREATE INDEX product_change_history_line
    ON product_change.product_change_history (line_number, requested_at DESC, request_id DESC);

-- Takes what no month takes, so that no row is ever refused for its date; ensure_partition() empties it.
CREATE TABLE product_change.product_change_history_default
    PARTITION OF product_change.product_change_history DEFAULT;

-- One row per KOS call of a change. No personal data.
CREATE TABLE product_change.kos_integration_log (
    instance      text        NOT NULL, -- the journal that forwarded the row
    seq           bigint      NOT NULL, -- its number there
    request_id    uuid        NOT NULL,
    operation     text        NOT NULL,
    attempt       integer     NOT NULL,
    http_status   integer,              -- NULL: no answer
    result_code   text,
    outcome       text,
    milliseconds  bigint,
    breaker_state text,
    at            timestamptz NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    -- A row that is forwarded twice is stored once. `at` is in it so that a number that a journal used
    -- again after emptying its table is not taken for the old row.
    PRIMARY KEY (instance, seq, at)
);
CREATE INDEX kos_integration_log_request ON product_change.kos_integration_log (request_id);
CREATE INDEX kos_integration_log_at ON product_change.kos_integration_log (at);
