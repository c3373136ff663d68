-- What happens to a transaction of the sandbox provider without a call of payments: refunds elsewhere, disputes, expiry.
CREATE TABLE sandbox_facts (
    transaction_id text COLLATE "C" NOT NULL,
    what text NOT NULL,
    reference text COLLATE "C" NOT NULL,
    amount numeric(18, 6),
    currency text,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (transaction_id, what, reference)
);
