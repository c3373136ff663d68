-- The grants of one service; applied at every migration, because a restored dump may lack them.

GRANT USAGE ON SCHEMA {service} TO {role};
GRANT USAGE, SELECT ON SEQUENCE log.position TO {role};
GRANT SELECT, INSERT (stream, version, type, time, data, meta) ON {service}.events TO {role};
GRANT SELECT, INSERT, UPDATE ON {service}.streams TO {role};
GRANT SELECT, INSERT, DELETE ON {service}.inbox TO {role};
GRANT SELECT, INSERT, DELETE ON {service}.outbox TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON {service}.failures TO {role};
GRANT SELECT, UPDATE (position, checked_at, types) ON {service}.receipts TO {role};
-- A service reads the events of all services, to find those that delivery gave up.
GRANT USAGE ON SCHEMA log TO {role};
GRANT SELECT ON log.events, log.archives, log.archived_streams, log.epochs TO {role};
-- After a restore or a failover a service goes on by itself.
GRANT EXECUTE ON FUNCTION log.begin_epoch() TO {role};
-- Every service refuses the tokens of subjects whose tokens were revoked.
GRANT USAGE ON SCHEMA vault TO {role};
GRANT SELECT ON vault.revocations TO {role};
