-- Our id of a refund that staff requested; empty for every other row.
ALTER TABLE sandbox_ledger ADD COLUMN refund_id text COLLATE "C" NOT NULL DEFAULT '';
