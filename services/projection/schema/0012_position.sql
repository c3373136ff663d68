-- A position is one number. The epoch is the one under which the version began: after a restore or a failover its rows
-- may show lost events. The events of an older log have new positions, so each view is built from the first event
-- again: no release feeds revision 0, and its rows serve until then.
UPDATE view_versions SET revision = 0, epoch = 0, position = 0, stopped_at = NULL, stopped_by = NULL, stopped_since = NULL;
ALTER TABLE view_versions DROP COLUMN transaction_id;
DELETE FROM skipped_events;
