-- The lines of an export that happened in the month -> `events` (counting.py).
-- Parameters: path; columns (what is parsed of a line, amplitude_lines.py); begins, ends; own (events that
-- Amplitude makes itself). Filled in: account and named, expressions of JSON.
-- The copies of an event have one event_time, so none of them is of another month.

-- error() is evaluated only for lines without a value: what the lines say must not be read as no usage.
WITH lines AS (
    SELECT
        * REPLACE (
            coalesce(event_type, error('no event_type')) AS event_type,
            coalesce(TRY_CAST(event_time AS TIMESTAMPTZ), error('no readable event_time')) AS event_time,
            coalesce(TRY_CAST(server_upload_time AS TIMESTAMPTZ), error('no readable server_upload_time'))
                AS server_upload_time
        )
    FROM read_ndjson($path, columns = $columns)
)
INSERT INTO events BY NAME
SELECT
    -- One value or a list of them. Anything nested is no account.
    [
        value->>'$'
        FOR value IN CASE json_type({account}) WHEN 'ARRAY' THEN {account}->'$[*]' ELSE [{account}] END
        IF json_type(value) IN ('VARCHAR', 'UBIGINT', 'BIGINT', 'DOUBLE') AND value->>'$' <> ''
    ] AS accounts,
    -- hash(NULL) is a number like any other.
    CASE WHEN amplitude_id IS NOT NULL THEN hash(amplitude_id) END AS person,
    event_time AS happened,
    server_upload_time AS arrived,
    event_type AS event,
    CASE WHEN json_type({named}) NOT IN ('NULL', 'ARRAY', 'OBJECT') THEN nullif({named}->>'$', '') END AS named,
    -- Amplitude itself takes the same insert id of the same device for a copy.
    CASE
        WHEN uuid IS NOT NULL THEN hash(uuid)
        WHEN "$insert_id" IS NOT NULL THEN hash(device_id, "$insert_id")
        WHEN event_id IS NOT NULL AND client_event_time IS NOT NULL
            THEN hash(event_id, device_id, client_event_time, amplitude_id)
    END AS id,
    TRY_CAST(user_creation_time AS TIMESTAMPTZ) AS began
FROM lines
WHERE event_time >= $begins AND event_time < $ends AND NOT list_contains($own, event_type)
