-- A page names the files under way and a few that follow (read_page.sql).
CREATE INDEX archives_by_beginning ON log.archives (first_position);

-- As in 0012. An append that is prepared while a row of log.epochs is made can commit later, and its number is then between
-- `cut_at` and `first` as those of lost events are. No number is given out twice, so an event that is there is not lost.
CREATE OR REPLACE FUNCTION log.ended(after bigint, OUT until bigint, OUT cut_at bigint) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    last bigint;
    detached bigint;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'a standby cannot tell which events are final: read from the primary'
            USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    SELECT
        p.last_value,
        (SELECT min(e.cut_at) FROM log.epochs AS e WHERE e.first >= after AND e.cut_at < after),
        (
            SELECT sum(CASE WHEN i.inhparent = 'log.outbox'::regclass THEN 1 WHEN NOT i.inhdetachpending THEN -1 END)
            FROM pg_inherits AS i WHERE i.inhparent IN ('log.outbox'::regclass, 'log.events'::regclass)
        )
    INTO last, cut_at, detached FROM log.position AS p;
    IF detached <> 0 THEN
        RAISE EXCEPTION 'a partition of log.events is detached: attach it, because readers would skip its events'
            USING ERRCODE = 'ZC002';
    END IF;
    IF cut_at IS NOT NULL AND EXISTS (SELECT FROM log.events AS e WHERE e.position = after) THEN
        cut_at := NULL; -- it was prepared before the row and committed after it
    END IF;
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
