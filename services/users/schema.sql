-- Password hashes, which must not be in the event store. No e-mail address and no token is stored in clear.
CREATE TABLE accounts (
    user_id text COLLATE "C" PRIMARY KEY,
    email_digest bytea NOT NULL UNIQUE, -- HMAC with a secret key: nobody without it can look an address up
    password_hash text NOT NULL
);

-- Failed logins by address. Addresses without an account have rows too: a client must not see the difference.
CREATE TABLE attempts (
    email_digest bytea PRIMARY KEY,
    failures integer NOT NULL,
    not_before timestamptz NOT NULL,
    last_at timestamptz NOT NULL
);
CREATE INDEX ON attempts (last_at);

-- Refresh tokens, as digests. The tokens of one login are a family; a used token that is sent again ends it.
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
