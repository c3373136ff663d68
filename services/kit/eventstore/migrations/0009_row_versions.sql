-- The rows of the service's own tables on whose versions an append can depend: none, unless the service replaces this view
-- in its own schema. Runs once per service, with its name in the place of {service}.
CREATE VIEW {service}.row_versions AS SELECT NULL::text COLLATE "C" AS key, NULL::integer AS version WHERE false;
