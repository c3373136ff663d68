-- What may not stand in the log: how a password is checked, and who is logged in. No e-mail address, no token.
CREATE TABLE accounts (
    user_id text COLLATE "C" PRIMARY KEY,
    email_digest bytea NOT NULL UNIQUE, -- keyed: without the key nobody can look an address up
    password_hash text NOT NULL
);

-- Guesses at passwords, also of addresses that nobody has an account for: both must look the same.
CREATE TABLE attempts (
    email_digest bytea PRIMARY KEY,
    failures integer NOT NULL,
    not_before timestamptz NOT NULL,
    last_at timestamptz NOT NULL
);
CREATE INDEX ON attempts (last_at);

-- Refresh tokens, as digests. One family is one login; a token that comes back used ends its family.
CREATE TABLE refresh_tokens (
    digest bytea PRIMARY KEY,
    family text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL REFERENCES accounts ON DELETE CASCADE,
    scope text NOT NULL,
    expires_at timestamptz NOT NULL,
    used boolean NOT NULL DEFAULT false
);
CREATE INDEX ON refresh_tokens (family);
CREATE INDEX ON refresh_tokens (user_id);
CREATE INDEX ON refresh_tokens (expires_at);
