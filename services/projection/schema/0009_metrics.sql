-- What processes without a place in the log database have counted; as log.metrics there.
CREATE TABLE metrics (
    service text NOT NULL,
    day date NOT NULL,
    name text COLLATE "C" NOT NULL,
    labels text COLLATE "C" NOT NULL,
    slot smallint NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (service, day, name, labels, slot)
);
CREATE TABLE metric_flushes (
    process text COLLATE "C" PRIMARY KEY,
    number integer NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
