CREATE TABLE customers (
    customer_id text COLLATE "C" PRIMARY KEY,
    customer_name text,
    email text,
    orders integer NOT NULL,
    first_order_at timestamptz NOT NULL,
    last_order_at timestamptz NOT NULL
);
