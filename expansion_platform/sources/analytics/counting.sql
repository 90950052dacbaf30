-- A month's events -> `totals`, `accounts`, `features`; the last two as known at the close and as known now.
-- Tables events (counting.py), kinds(kind, event), excluded(event), internal(account), listed(feature),
-- asked(begins, ends, closes, timezone, all_features, by_sign_up), one row: all_features where every event is a
-- feature, by_sign_up where sign-up events say who is new.

CREATE OR REPLACE TEMP VIEW month_events AS
SELECT events.* FROM events, asked
WHERE happened >= begins AND happened < ends AND event NOT IN (SELECT event FROM excluded);

-- An event without an id is never a copy; of copies, the one that arrived first counts.
CREATE OR REPLACE TEMP TABLE copied AS
SELECT id FROM month_events WHERE id IS NOT NULL GROUP BY id HAVING count(*) > 1;

CREATE OR REPLACE TEMP TABLE once AS
SELECT * EXCLUDE (id) FROM month_events WHERE id IS NULL OR id NOT IN (SELECT id FROM copied)
UNION ALL BY NAME
SELECT unnest(first) FROM (
    SELECT
        arg_min(
            struct_pack(accounts, person, happened, arrived, event, named, began),
            struct_pack(arrived, happened)
        ) AS first
    FROM month_events
    WHERE id IN (SELECT id FROM copied)
    GROUP BY id
);

CREATE OR REPLACE TEMP TABLE totals AS
SELECT
    count(*) AS events,
    count(*) FILTER (len(accounts) = 0) AS without_account,
    count(*) FILTER (began IS NOT NULL) AS with_began
FROM once;

CREATE OR REPLACE TEMP TABLE dated AS
WITH counted_as AS (SELECT event, list(kind) AS kinds FROM kinds GROUP BY event)
SELECT
    account,
    person,
    arrived,
    CAST(timezone(timezone, happened) AS DATE) AS day,
    coalesce(kinds, []) AS kinds,
    CASE
        WHEN by_sign_up THEN list_contains(coalesce(kinds, []), 'sign_ups')
        ELSE coalesce(began >= begins AND began < ends, false)
    END AS new,
    CASE
        WHEN all_features OR coalesce(named, event) IN (SELECT feature FROM listed) THEN coalesce(named, event)
    END AS feature
FROM (SELECT * EXCLUDE (accounts), unnest(list_distinct(accounts)) AS account FROM once)
LEFT JOIN counted_as USING (event)
CROSS JOIN asked
WHERE account NOT IN (SELECT account FROM internal);

CREATE OR REPLACE TEMP TABLE versions AS
SELECT unnest([closes, 'infinity'::TIMESTAMPTZ]) AS before, unnest([false, true]) AS late FROM asked;

-- Other accounts are known now as they were at the close.
CREATE OR REPLACE TEMP TABLE changed AS SELECT DISTINCT account FROM dated, asked WHERE arrived >= closes;

CREATE OR REPLACE TEMP TABLE accounts AS
SELECT
    account,
    late,
    max(arrived) AS known_at,
    count(DISTINCT person) AS active_users,
    count(DISTINCT day) AS active_days,
    count(DISTINCT feature) AS features_used,
    count(DISTINCT person) FILTER (new) AS new_users,
    count(*) FILTER (list_contains(kinds, 'logins')) AS logins,
    count(*) FILTER (list_contains(kinds, 'invites')) AS invites,
    count(*) FILTER (list_contains(kinds, 'gate_hits')) AS gate_hits,
    count(*) FILTER (list_contains(kinds, 'limit_warnings')) AS limit_warnings,
    count(*) FILTER (list_contains(kinds, 'integrations')) AS integrations,
    count(*) FILTER (list_contains(kinds, 'milestones')) AS milestones,
    count(DISTINCT (person, day)) FILTER (person IS NOT NULL) AS person_days
FROM dated JOIN versions ON arrived < before AND (NOT late OR account IN (SELECT account FROM changed))
GROUP BY account, late;

CREATE OR REPLACE TEMP TABLE features AS
SELECT
    account,
    feature,
    late,
    max(arrived) AS known_at,
    count(DISTINCT person) AS active_users,
    count(*) AS events
FROM dated JOIN versions ON arrived < before AND (NOT late OR account IN (SELECT account FROM changed))
WHERE feature IS NOT NULL
GROUP BY account, feature, late;
