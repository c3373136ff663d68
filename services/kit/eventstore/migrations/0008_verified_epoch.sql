-- A server process looks up once, and not for each append, whether the newest epoch belongs to this server: it remembers the
-- epoch and the timeline for which that was so. A process belongs to one cluster, so its identifier need not be compared
-- again; append.sql compares the other two.

DROP FUNCTION log.begin_append(); -- append.sql takes its lock

CREATE OR REPLACE FUNCTION log.is_current() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'a standby cannot tell which events are final: connect to the primary'
            USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    RETURN (SELECT log.is_current(c.system_identifier) FROM pg_control_system() AS c);
END
$$;

-- True if the newest epoch belongs to this server; the session then remembers `what`, the epoch and the timeline.
CREATE FUNCTION log.verify_epoch(what text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF NOT log.is_current() THEN
        RAISE EXCEPTION 'the event store was restored or failed over: a new epoch must begin' USING ERRCODE = 'ZC001';
    END IF;
    PERFORM set_config('zerocart.verified', what, false);
    RETURN true;
END
$$;
