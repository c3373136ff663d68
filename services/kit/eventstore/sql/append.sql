-- Appends a batch and returns a row for each append that took effect. An append without a row conflicts or repeats.
-- $1..$6 have a value for each append, $7..$12 a value for each event, $13..$15 a value for each row that an append
-- was decided from, $16..$18 one for each new key of a person. Each parameter is one text in which U+001F separates the
-- values, because no JSON text contains it, and encoding arrays would be most of the client's work.
-- rows.py leaves the parts between `rows {` and `rows }` out if there is neither such a row nor a key, and those of `keys` if
-- there is no key: most batches have none, and Postgres needs time for each part of a plan.
-- Scalar subqueries instead of joins, because Postgres looks these up by index whatever sizes the planner assumes.
WITH
-- rows {
outdated AS MATERIALIZED (
    SELECT w.stream
    FROM unnest(
        string_to_array($13, E'\x1f'), string_to_array($14, E'\x1f'), string_to_array($15, E'\x1f')
    ) AS w (stream, key, version)
    WHERE coalesce((SELECT v.version FROM row_versions AS v WHERE v.key = w.key), 0) <> w.version::integer
    -- keys {
    UNION ALL
    SELECT k.stream
    FROM unnest(string_to_array($16, E'\x1f'), string_to_array($17, E'\x1f')) AS k (stream, person)
    WHERE (SELECT true FROM vault.keys AS v WHERE v.person = k.person)
    -- keys }
),

-- rows }
request AS MATERIALIZED (
    SELECT
        r.stream,
        r.expected::integer AS expected,
        r.events::integer AS events,
        nullif(r.mark, '') AS mark,
        coalesce(r.fingerprint, '') AS fingerprint, -- string_to_array of '' is an empty array
        coalesce(r.answer, '') AS answer,
        (SELECT true FROM inbox AS i WHERE i.key = r.mark) AS repeated,
        r.expected = '0' OR (SELECT true FROM streams AS s WHERE s.stream = r.stream) AS known
    FROM unnest(
        string_to_array($1, E'\x1f'), string_to_array($2, E'\x1f'), string_to_array($3, E'\x1f'),
        string_to_array($4, E'\x1f'), string_to_array($5, E'\x1f'), string_to_array($6, E'\x1f')
    ) AS r (stream, expected, events, mark, fingerprint, answer)
),

head AS (
    -- Sorted, so that batches of several processes cannot deadlock.
    INSERT INTO streams AS s (stream, version, appended)
    SELECT stream, expected + events, events
    FROM request
    WHERE
        repeated IS NULL AND known
        -- rows {
        AND (stream IN (SELECT stream FROM outdated)) IS NOT TRUE
        -- rows }
    ORDER BY stream
    ON CONFLICT (stream) DO UPDATE SET version = excluded.version, appended = excluded.appended
        WHERE s.version = excluded.version - excluded.appended
    RETURNING s.stream, s.version, s.appended
),

marked AS (
    -- Sorted, for the same reason as in `head`.
    INSERT INTO inbox (key, stream, version, fingerprint, answer)
    SELECT mark, stream, expected + events, fingerprint, answer
    FROM request
    WHERE mark IS NOT NULL AND (stream IN (SELECT stream FROM head)) IS TRUE
    ORDER BY mark
    RETURNING stream
),

-- keys {
keyed AS (
    -- Sorted, for the same reason as in `head`.
    INSERT INTO vault.keys (person, wrapped)
    SELECT k.person, decode(k.wrapped, 'hex')
    FROM unnest(
        string_to_array($16, E'\x1f'), string_to_array($17, E'\x1f'), string_to_array($18, E'\x1f')
    ) AS k (stream, person, wrapped)
    WHERE (k.stream IN (SELECT stream FROM head)) IS TRUE
    ORDER BY k.person
    RETURNING person
),

-- keys }
event AS (
    -- The first row whose stream is in `head` begins the append (docs/decisions/0023-positions.md): in an epoch of this
    -- server, the lock is taken that stands for the last number drawn. CASE keeps the order, which WHERE would not: `head` is
    -- complete before, and counting the rows of the other statements completes them. Readers wait for a writer that has
    -- begun, and a writer that waits for somebody's lock on a row must not hold them up. The positions are drawn for the
    -- rows that pass, so after it. Every append of a transaction takes a lock: one that was taken inside a savepoint ends
    -- when that is rolled back.
    INSERT INTO events (stream, version, type, time, data, meta)
    SELECT e.stream, e.version::integer, e.type, e.time::timestamptz, e.data::json, e.meta::json
    FROM unnest(
        string_to_array($7, E'\x1f'), string_to_array($8, E'\x1f'), string_to_array($9, E'\x1f'),
        string_to_array($10, E'\x1f'), string_to_array($11, E'\x1f'), string_to_array($12, E'\x1f')
    ) WITH ORDINALITY AS e (stream, version, type, time, data, meta, n)
    WHERE
        CASE WHEN (e.stream IN (SELECT stream FROM head)) IS TRUE THEN (
            SELECT
                CASE WHEN
                    (SELECT count(*) FROM marked) >= 0
                    -- keys {
                    AND (SELECT count(*) FROM keyed) >= 0
                    -- keys }
                    AND (
                        current_setting('zerocart.verified', true) = log.here(p.last_value, p.tableoid)
                        OR log.verify_epoch(log.here(p.last_value, p.tableoid))
                    )
                THEN pg_advisory_xact_lock_shared(~p.last_value) IS NOT NULL END -- it always is
            FROM log.position AS p
        ) END
    ORDER BY e.n
    RETURNING stream, position
),

waiting AS (
    -- It waits for nobody, because the streams are locked.
    INSERT INTO outbox (stream, first_version, last_version)
    SELECT stream, version - appended + 1, version
    FROM head
)

SELECT
    e.stream,
    e.positions,
    -- the statement does not see the row that it inserts, so a row that it sees is from an earlier append
    coalesce((SELECT true FROM outbox AS o WHERE o.stream = e.stream LIMIT 1), false) AS backlog
FROM (
    -- as text: for an array the driver would ask a new connection for the type, which takes longer than the append
    SELECT stream, string_agg(position::text, ' ') AS positions
    FROM event
    GROUP BY stream
) AS e
