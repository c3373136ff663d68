-- The ledger of the sandbox provider: a row for each call that moved money.
CREATE TABLE sandbox_ledger (
    key text COLLATE "C" PRIMARY KEY,
    order_id text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('authorize', 'capture', 'void', 'refund')),
    transaction_id text COLLATE "C" NOT NULL,
    amount numeric(18, 6) NOT NULL,
    currency text NOT NULL,
    token text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON sandbox_ledger (transaction_id);

-- The scripted faults that were used up.
CREATE TABLE sandbox_faults (
    key text COLLATE "C" PRIMARY KEY
);
