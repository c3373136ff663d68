-- A dump that is restored on the same server, into a new database or over the old one (pg_restore --clean), leaves cluster and
-- timeline as they were. But then log.position is another relation, and an epoch belongs to one.

ALTER TABLE log.epochs ADD COLUMN relation bigint; -- the oid of log.position; NULL in epochs that began before this column

CREATE OR REPLACE FUNCTION log.is_current(here bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (
        SELECT
            e.system_identifier = here AND e.timeline = log.timeline()
            AND e.relation = (SELECT p.tableoid FROM log.position AS p)::bigint
        FROM log.epochs AS e ORDER BY e.epoch DESC LIMIT 1
    ) IS TRUE;
END
$$;

-- As in 0007, with the relation.
CREATE OR REPLACE FUNCTION log.begin_epoch() RETURNS void LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    here bigint;
    next smallint;
    relation bigint;
BEGIN
    SELECT system_identifier INTO here FROM pg_control_system();
    LOCK TABLE log.epochs IN SHARE ROW EXCLUSIVE MODE;
    IF log.is_current(here) THEN
        RETURN;
    END IF;
    -- The timeline keeps the number new also if an epoch itself is among what was lost.
    SELECT greatest(p.last_value >> 48, (SELECT max(epoch) FROM log.epochs), log.timeline() - 1) + 1, p.tableoid
    INTO next, relation FROM log.position AS p;
    INSERT INTO log.epochs (epoch, system_identifier, timeline, cut_at, relation)
    VALUES (next, here, log.timeline(), log.last_event(9223372036854775807), relation);
    PERFORM setval('log.position', next::bigint << 48);
END
$$;

-- What a session remembers once it was compared: the epoch, the timeline and the relation. Postgres puts it in the place of the
-- call.
CREATE FUNCTION log.here(last bigint, relation oid) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT (last >> 48) || ' ' || log.timeline() || ' ' || relation
$$;
