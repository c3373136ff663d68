-- The endpoints as the latest events of each say, and how the latest attempts went.
CREATE TABLE endpoints (
    id text COLLATE "C" PRIMARY KEY,
    owner text NOT NULL,
    types text[] NOT NULL,
    scopes text[] NOT NULL,
    active boolean NOT NULL,
    since bigint NOT NULL, -- it receives events after this position
    created_at timestamptz NOT NULL,
    failures integer NOT NULL DEFAULT 0, -- in a row
    failing_since timestamptz,
    rest_until timestamptz -- no attempt before, because the endpoint fails
);

-- One row for each event and endpoint. The body is made from the event store for each attempt and stored nowhere.
CREATE TABLE deliveries (
    id text COLLATE "C" PRIMARY KEY,
    endpoint_id text COLLATE "C" NOT NULL REFERENCES endpoints ON DELETE CASCADE,
    position bigint NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    next_at timestamptz NOT NULL, -- an attempt that is under way moves it, so that a crash repeats the attempt
    decided_at timestamptz
);
CREATE INDEX deliveries_due ON deliveries (endpoint_id, next_at) WHERE state = 'pending';
CREATE INDEX deliveries_listed ON deliveries (endpoint_id, position);
CREATE INDEX deliveries_decided ON deliveries (decided_at) WHERE decided_at IS NOT NULL;

CREATE TABLE attempts (
    delivery_id text COLLATE "C" NOT NULL REFERENCES deliveries ON DELETE CASCADE,
    at timestamptz NOT NULL,
    number integer NOT NULL,
    duration_ms integer NOT NULL,
    status integer, -- none if there was no answer
    error text NOT NULL,
    answer text NOT NULL,
    request json NOT NULL
);
CREATE INDEX ON attempts (delivery_id, number);

-- The position up to which events were turned into deliveries.
CREATE TABLE progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint NOT NULL
);
INSERT INTO progress (position) VALUES (0);
