-- Each view has versions, each with its tables in a schema of its own, `<view>_<version>` (docs/decisions/0013).
-- What the tables before held follows from the log and is built again at the first start.
DROP TABLE orders, order_lines, timeline, stock, customers, checkpoints;

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;

CREATE TABLE view_versions (
    view text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    revision integer NOT NULL,
    state text NOT NULL CHECK (state IN ('building', 'serving', 'kept')),
    next text NOT NULL CHECK (next IN ('switch', 'switch_if_equal', 'wait')),
    epoch integer NOT NULL DEFAULT 0,
    transaction_id bigint NOT NULL DEFAULT 0,
    position bigint NOT NULL DEFAULT 0,
    made_at timestamptz NOT NULL DEFAULT now(),
    switched_at timestamptz,
    stopped_at text,
    stopped_by text,
    stopped_since timestamptz,
    compared jsonb,
    PRIMARY KEY (view, version)
);
CREATE UNIQUE INDEX one_version_serves ON view_versions (view) WHERE state = 'serving';
CREATE UNIQUE INDEX one_version_is_built ON view_versions (view) WHERE state = 'building';

-- Events that a view could not show and that somebody decided it can do without; later versions may, too.
CREATE TABLE skipped_events (
    view text COLLATE "C" NOT NULL,
    position text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    skipped_by text NOT NULL,
    skipped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (view, position)
);

-- The schemas of versions belong to the owner of the database: the projection makes and drops these and no others.
CREATE FUNCTION make_version_schema(version text, maker text, reader text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF version !~ '^[a-z]+_[0-9]+$' THEN
        RAISE EXCEPTION 'not the name of a version: %', version;
    END IF;
    EXECUTE format('CREATE SCHEMA %I', version);
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO %I', version, maker);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', version, reader);
END
$$;
CREATE FUNCTION drop_version_schema(version text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF version !~ '^[a-z]+_[0-9]+$' THEN
        RAISE EXCEPTION 'not the name of a version: %', version;
    END IF;
    EXECUTE format('DROP SCHEMA %I CASCADE', version);
END
$$;
REVOKE EXECUTE ON FUNCTION make_version_schema(text, text, text), drop_version_schema(text) FROM public;
