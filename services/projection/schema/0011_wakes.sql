-- The types of the events that change a row of the version: only these count when somebody asks how far it is behind.
ALTER TABLE view_versions ADD COLUMN wakes text[] COLLATE "C";
