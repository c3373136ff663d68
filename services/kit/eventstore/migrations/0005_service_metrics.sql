-- The part of one service, which stands where {service} is.
CREATE TABLE {service}.metrics PARTITION OF log.metrics (
    PRIMARY KEY (service, day, name, labels, slot)
) FOR VALUES IN ('{service}');

-- The last flush of each process: a repeated one adds nothing.
CREATE TABLE {service}.metric_flushes (
    process text COLLATE "C" PRIMARY KEY,
    number integer NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
