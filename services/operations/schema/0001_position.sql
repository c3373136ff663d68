-- A position is one number.
ALTER TABLE counted DROP COLUMN epoch, DROP COLUMN transaction_id;
