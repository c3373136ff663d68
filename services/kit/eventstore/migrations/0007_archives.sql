-- Archives: finished streams move from log.events into files (docs/archive.md).

CREATE TABLE log.archives (
    made_at timestamptz NOT NULL DEFAULT now(),
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    bytes bigint NOT NULL, -- the size of the file
    events integer NOT NULL,
    archive integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    file text NOT NULL UNIQUE, -- its name in the folder of the archives
    sha256 text NOT NULL -- of the file
);
CREATE INDEX archives_in_order ON log.archives (last_position);

CREATE TABLE log.archived_streams (
    archive integer NOT NULL REFERENCES log.archives ON DELETE CASCADE,
    last_version integer NOT NULL, -- the last version in this archive; later events are in the table or in later archives
    service text NOT NULL,
    stream text COLLATE "C" NOT NULL,
    members integer[] NOT NULL, -- where the gzip members of the file begin that contain events of the stream
    PRIMARY KEY (stream, service, archive)
);

-- How far the streams of a service were looked at. Only a later event can finish a stream that was not finished then.
CREATE TABLE log.archiving (
    position bigint NOT NULL,
    service text PRIMARY KEY,
    rule text NOT NULL -- which streams counted as finished: if that changes, all streams are looked at again
);

-- The last event up to a position, 0 if there is none, in the table or in an archive: archives contain final events only.
CREATE FUNCTION log.last_event(until bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN greatest(
        (SELECT max(e.position) FROM log.events AS e WHERE e.position <= until),
        (SELECT max(a.last_position) FROM log.archives AS a WHERE a.last_position <= until),
        0
    );
END
$$;

-- As in 0006, with the archives.
CREATE OR REPLACE FUNCTION log.begin_epoch() RETURNS void LANGUAGE plpgsql VOLATILE
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
    VALUES (next, here, log.timeline(), log.last_event(9223372036854775807));
    PERFORM setval('log.position', next::bigint << 48);
END
$$;

-- As in 0006, with the archives.
CREATE OR REPLACE FUNCTION log.horizon(after bigint, OUT horizon bigint, OUT cut_at bigint) LANGUAGE plpgsql VOLATILE AS $$
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
    horizon := log.last_event(horizon);
    SELECT least(min(e.cut_at), CASE WHEN last < after THEN horizon END) INTO cut_at
    FROM log.epochs AS e
    WHERE e.epoch > after >> 48 AND e.cut_at < after;
END
$$;
