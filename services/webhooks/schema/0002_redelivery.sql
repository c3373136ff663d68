-- Why a delivery failed without a last attempt, and after how many attempts a redelivery began.
ALTER TABLE deliveries ADD COLUMN given_up text, ADD COLUMN attempts_before integer NOT NULL DEFAULT 0;
