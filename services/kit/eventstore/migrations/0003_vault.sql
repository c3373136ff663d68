-- The key of each person, wrapped by a secret that no database knows. Erasing somebody leaves the row without it.

CREATE SCHEMA vault;

CREATE TABLE vault.keys (
    made_at timestamptz NOT NULL DEFAULT now(),
    erased_at timestamptz,
    person text COLLATE "C" PRIMARY KEY,
    wrapped bytea,
    CHECK ((wrapped IS NULL) = (erased_at IS NOT NULL))
);
