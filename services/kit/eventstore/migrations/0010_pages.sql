-- A reader that follows gets its page and the horizon of this page from one statement.

-- The events after the position `after` and up to `until`, of `types` if these are given: up to `events_max` events, ending
-- with the one that reaches `bytes_max` bytes of data. The archives that may contain events of this page follow, in rows as
-- in read_stream.sql. Postgres puts the query in the place of the call.
CREATE FUNCTION log.events_between(after bigint, until bigint, types text[], events_max bigint, bytes_max bigint)
RETURNS TABLE (
    service text, stream text, version integer, "position" bigint, type text, "time" timestamptz, data json, meta json
) LANGUAGE sql STABLE AS $$
    SELECT page.service, page.stream, page.version, page.position, page.type, page.time, page.data, page.meta
    FROM (
        SELECT
            *,
            sum(octet_length(e.data::text)) OVER (
                ORDER BY e.position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS bytes_before
        FROM log.events AS e
        WHERE e.position > after AND e.position <= until AND (types IS NULL OR e.type = ANY(types))
        ORDER BY e.position
        LIMIT events_max
    ) AS page
    WHERE coalesce(page.bytes_before, 0) < bytes_max
    UNION ALL
    SELECT NULL, a.file, NULL, NULL, NULL, NULL, NULL, NULL
    FROM log.archives AS a
    WHERE a.last_position > after AND a.first_position <= until
    ORDER BY 4 -- the position
$$;

-- The number up to which every writer has ended; `cut_at` as in log.horizon. The statement that reads the events must begin
-- after this one, with a new snapshot.
CREATE FUNCTION log.ended(after bigint, OUT until bigint, OUT cut_at bigint) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    last bigint;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'a standby cannot tell which events are final: read from the primary'
            USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    SELECT p.last_value, (SELECT min(e.cut_at) FROM log.epochs AS e WHERE e.epoch > after >> 48 AND e.cut_at < after)
    INTO last, cut_at FROM log.position AS p;
    -- The key of a lock is ~number, in two unsigned halves. The range contains the keys of all epochs from 1 on.
    SELECT least(last, min(~((l.classid::bigint << 32) | l.objid::bigint))) INTO until
    FROM pg_locks AS l
    WHERE
        l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND l.classid::bigint BETWEEN 2147483648 AND 4294901759
        AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());
    IF last < after THEN
        cut_at := least(cut_at, log.last_event(until));
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION log.horizon(after bigint, OUT horizon bigint, OUT cut_at bigint) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    ended record;
BEGIN
    ended := log.ended(after);
    horizon := log.last_event(ended.until);
    cut_at := ended.cut_at;
END
$$;

-- The final events after the position `after`, as log.events_between returns them. If `after` is among those that a restore
-- or a failover lost, the only row has no service and no stream, and the last position that remained.
CREATE FUNCTION log.final_events(after bigint, events_max bigint, bytes_max bigint)
RETURNS TABLE (
    service text, stream text, version integer, "position" bigint, type text, "time" timestamptz, data json, meta json
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    ended record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'log.final_events needs READ COMMITTED: with one snapshot it would skip events'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    ended := log.ended(after);
    IF ended.cut_at IS NULL THEN
        RETURN QUERY SELECT * FROM log.events_between(after, ended.until, NULL, events_max, bytes_max);
    ELSE
        "position" := ended.cut_at;
        RETURN NEXT;
    END IF;
END
$$;
