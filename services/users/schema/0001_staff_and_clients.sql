-- Who belongs to the staff; the names and addresses are in the event store, encrypted.
CREATE TABLE staff (
    user_id text COLLATE "C" PRIMARY KEY REFERENCES accounts ON DELETE CASCADE
);

-- The secrets of API clients, as digests. After a rotation the previous secret is valid until `previous_until`.
CREATE TABLE clients (
    client_id text COLLATE "C" PRIMARY KEY,
    secret_sha256 text NOT NULL,
    previous_sha256 text,
    previous_until timestamptz,
    last_used_at timestamptz
);
