-- How writers and readers of the log agree which events are final (docs/decisions/0023-positions.md).
--
-- A writer, in log.begin_append: it has locked the rows of its streams; it reads the last number b that any writer has
-- drawn; it takes a shared advisory lock that stands for b; then it draws its numbers, which are all greater than b.
-- The lock ends with its transaction, after its events have become visible.
-- A reader, in log.horizon: it reads the last number drawn, then the locks that are held. Whoever drew a number up to the
-- least of these has ended. The horizon is the last event up to there: numbers after it are not on disk yet perhaps, and
-- a server that crashes draws them again.

-- The timeline as in the WAL, because the control file is late after a promotion.
CREATE FUNCTION log.timeline() RETURNS integer LANGUAGE sql VOLATILE AS $$
    SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer
$$;

-- Whether the newest epoch began in the cluster `here` and on the timeline of this server.
CREATE FUNCTION log.is_current(here bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (
        SELECT e.system_identifier = here AND e.timeline = log.timeline()
        FROM log.epochs AS e ORDER BY e.epoch DESC LIMIT 1
    ) IS TRUE;
END
$$;

-- The same of the connected cluster. A backend belongs to one cluster, so it reads the control file only once.
CREATE FUNCTION log.is_current() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    here text := current_setting('zerocart.system_identifier', true);
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'a standby cannot tell which events are final: connect to the primary'
            USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    IF coalesce(here, '') = '' THEN
        SELECT set_config('zerocart.system_identifier', system_identifier::text, false) INTO here FROM pg_control_system();
    END IF;
    RETURN log.is_current(here::bigint);
END
$$;

-- Begins an epoch if the newest one does not belong to this cluster and timeline; else it does nothing. Services call it,
-- so that they go on after a failover.
CREATE FUNCTION log.begin_epoch() RETURNS void LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    here bigint;
    next smallint;
BEGIN
    SELECT system_identifier INTO here FROM pg_control_system();
    LOCK TABLE log.epochs IN SHARE ROW EXCLUSIVE MODE;
    IF log.is_current(here) THEN
        RETURN;
    END IF;
    -- The timeline keeps the number new also if an epoch itself is among what was lost.
    SELECT greatest(p.last_value >> 48, (SELECT max(epoch) FROM log.epochs), log.timeline() - 1) + 1
    INTO next FROM log.position AS p;
    INSERT INTO log.epochs (epoch, system_identifier, timeline, cut_at)
    VALUES (next, here, log.timeline(), coalesce((SELECT max(position) FROM log.events), 0));
    PERFORM setval('log.position', next::bigint << 48);
END
$$;
REVOKE EXECUTE ON FUNCTION log.begin_epoch() FROM public;

-- Every append of a transaction calls it: a lock that was taken inside a savepoint ends when that is rolled back.
CREATE FUNCTION log.begin_append() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    last bigint;
BEGIN
    IF NOT log.is_current() THEN
        RAISE EXCEPTION 'the event store was restored or failed over: a new epoch must begin' USING ERRCODE = 'ZC001';
    END IF;
    SELECT p.last_value INTO last FROM log.position AS p
    WHERE pg_advisory_xact_lock_shared(~p.last_value) IS NOT NULL; -- it always is: one statement is cheaper than two
    RETURN last;
END
$$;

-- The last event that is final, 0 if there is none. `cut_at` is given if `after`, a position up to which the caller has read
-- events, is among those that a restore or a failover lost: it is the last position that remained.
-- The statement that reads the events must begin after this one has ended.
CREATE FUNCTION log.horizon(after bigint, OUT horizon bigint, OUT cut_at bigint) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    last bigint;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'a standby cannot tell which events are final: read from the primary'
            USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    SELECT p.last_value INTO last FROM log.position AS p;
    -- The key of a lock is ~number, in two unsigned halves. The range contains the keys of all epochs from 1 on.
    SELECT least(last, min(~((l.classid::bigint << 32) | l.objid::bigint))) INTO horizon
    FROM pg_locks AS l
    WHERE
        l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND l.classid::bigint BETWEEN 2147483648 AND 4294901759
        AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());
    SELECT coalesce(max(e.position), 0) INTO horizon FROM log.events AS e WHERE e.position <= horizon;
    SELECT least(min(e.cut_at), CASE WHEN last < after THEN horizon END) INTO cut_at
    FROM log.epochs AS e
    WHERE e.epoch > after >> 48 AND e.cut_at < after;
END
$$;
