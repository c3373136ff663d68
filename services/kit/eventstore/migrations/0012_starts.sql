-- A disk that is put back, a base backup that is started without a recovery, and a copy of the database that takes its place
-- have the cluster, the timeline and the relation of before. So the numbers go on behind all that were given out before, also by
-- a history that is lost, whenever the server was started or the database is another one: at the number of the clock.
-- log.epochs gets a row for that, unless nothing was appended since the last row.

ALTER TABLE log.epochs
    ADD COLUMN first bigint, -- positions after this one, up to that of the next row, were given out since the row was made
    ADD COLUMN database bigint, -- its oid; NULL in rows that were made before this column, as is the next
    ADD COLUMN started_at timestamptz; -- when the server was started
UPDATE log.epochs SET first = epoch::bigint << 48;
ALTER TABLE log.epochs DROP CONSTRAINT epochs_pkey, ADD PRIMARY KEY (first);

-- Whether positions go on in the order of the newest row of log.epochs. SECURITY DEFINER, because not everybody who reads
-- positions reads events.
CREATE OR REPLACE FUNCTION log.is_current(here bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- before last_value, so that a running append does not look as if the sequence was put back
    last_event bigint := log.last_event(9223372036854775807);
BEGIN
    IF (SELECT s.seqcache FROM pg_sequence AS s WHERE s.seqrelid = 'log.position'::regclass) <> 1 THEN
        RAISE EXCEPTION 'readers can skip events while sessions draw positions in advance: ALTER SEQUENCE log.position CACHE 1'
            USING ERRCODE = 'ZC002';
    END IF;
    RETURN (
        SELECT
            e.system_identifier = here AND e.timeline = log.timeline() AND e.relation = p.tableoid::bigint
            AND e.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())::bigint
            AND e.started_at = pg_postmaster_start_time()
            AND p.last_value >= greatest(e.first, last_event)
        FROM log.epochs AS e, log.position AS p ORDER BY e.first DESC LIMIT 1
    ) IS TRUE;
END
$$;

-- As in 0011, with the number of the clock, and within an epoch if only the server was started, the database is another one, or
-- the sequence is behind.
CREATE OR REPLACE FUNCTION log.begin_epoch() RETURNS void LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    here bigint;
    newest log.epochs;
    next log.epochs;
    last_event bigint;
    last bigint;
    -- 125,000 numbers a second, so an epoch has numbers for 71 years; appends are slower by far
    clock bigint := greatest((extract(epoch FROM clock_timestamp()) - 1767225600) * 125000, 0); -- 2026-01-01
BEGIN
    SELECT c.system_identifier INTO here FROM pg_control_system() AS c;
    LOCK TABLE log.epochs IN SHARE ROW EXCLUSIVE MODE;
    IF log.is_current(here) THEN
        RETURN;
    END IF;
    SELECT * INTO newest FROM log.epochs AS e ORDER BY e.first DESC LIMIT 1;
    last_event := log.last_event(9223372036854775807);
    SELECT
        p.last_value, p.tableoid, log.timeline(), here, pg_postmaster_start_time(), now(), d.oid,
        greatest(newest.epoch, p.last_value >> 48, last_event >> 48)
    INTO last, next.relation, next.timeline, next.system_identifier, next.started_at, next.began_at, next.database, next.epoch
    FROM log.position AS p, pg_database AS d WHERE d.datname = current_database();
    next.cut_at := last_event;
    IF (newest.system_identifier, newest.timeline, newest.relation) = (here, next.timeline, next.relation) THEN
        -- An append that is prepared, or that runs because the sequence was found behind, has a number that is not lost.
        IF EXISTS (
            SELECT FROM pg_locks AS l
            WHERE
                l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND l.database = next.database
                AND l.classid::bigint BETWEEN 2147483648 AND 4294901759 -- as in log.ended
        ) THEN
            next.cut_at := greatest(last, last_event);
        END IF;
        IF last = newest.first AND last > last_event THEN
            DELETE FROM log.epochs AS e WHERE e.first = newest.first;
            next.cut_at := newest.cut_at;
        END IF;
    ELSE
        -- The timeline keeps the number new also if an epoch itself is among what was lost.
        next.epoch := greatest(next.epoch, next.timeline - 1) + 1;
    END IF;
    next.first := greatest((next.epoch::bigint << 48) + clock, last, last_event);
    INSERT INTO log.epochs SELECT next.*;
    PERFORM setval('log.position', next.first);
END
$$;

-- As in 0010; a position between the last event before a row of log.epochs and the first of its numbers is lost. Nothing is final
-- while a partition is detached: its events cannot be seen, and each service has one of log.events and one of log.outbox.
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
