-- A downloaded export -> `events` (counting.py).
-- View exported(event, properties: a struct of the keys in mixpanel_export.py). {account} and {named} stand for
-- the JSON values of two properties, {offset} for the seconds between UTC and the wall clock of `time`.
-- A line without event or time is no event: error() ends the reading, and Python looks for the line.

CREATE OR REPLACE TEMP MACRO name_of(value) AS CASE json_type(value)
    WHEN 'VARCHAR' THEN nullif(trim(value ->> '$'), '')
    WHEN 'BIGINT' THEN value ->> '$'
    WHEN 'UBIGINT' THEN value ->> '$'
    WHEN 'DOUBLE' THEN regexp_replace(value ->> '$', '\.0+$', '')  -- 7.0 is account 7
END;

INSERT INTO events BY NAME
WITH whole AS (
    SELECT
        coalesce(event, error('no event')) AS event,
        coalesce(properties."time", error('no time')) AS given,
        properties
    FROM exported
),
lines AS (
    SELECT
        event,
        if(given > 100_000_000_000, given // 1000, given) AS seconds,  -- milliseconds, or the year 5138
        nullif(properties."distinct_id", '') AS distinct_id,
        coalesce(nullif(properties."$user_id", ''), distinct_id) AS who,
        nullif(properties."$insert_id", '') AS insert_id,
        properties."mp_processing_time_ms" AS processed,
        {account} AS account,
        {named} AS named
    FROM whole
)
SELECT
    CASE json_type(account)
        WHEN 'ARRAY' THEN list_filter(
            list_transform(from_json(account, '["JSON"]'), lambda one: name_of(one)),
            lambda name: name IS NOT NULL
        )
        ELSE list_filter([name_of(account)], lambda name: name IS NOT NULL)
    END AS accounts,
    CASE WHEN who IS NOT NULL THEN hash(who) END AS person,
    make_timestamptz((seconds - ({offset})) * 1_000_000) AS happened,
    -- An event without a processing time is old: /track takes none that is older than five days.
    coalesce(make_timestamptz(processed * 1000), happened) AS arrived,
    event,
    name_of(named) AS named,
    CASE
        WHEN insert_id IS NOT NULL THEN hash(event, coalesce(distinct_id, ''), insert_id, seconds // 86_400)
    END AS id
FROM lines;
