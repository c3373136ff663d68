-- Access tokens of `subject` that were issued before `issued_before` are void; 'infinity' voids all of them.
CREATE TABLE vault.revocations (
    issued_before timestamptz NOT NULL,
    subject text COLLATE "C" PRIMARY KEY
);

-- The e-mail address and the name of a person with an account, encrypted with the key of the person.
ALTER TABLE vault.keys ADD COLUMN contact bytea;
