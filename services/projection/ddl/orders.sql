CREATE TABLE orders (
    order_id text COLLATE "C" PRIMARY KEY,
    customer_id text COLLATE "C",
    email text,
    customer_name text,
    status text NOT NULL,
    reason text,
    total numeric(18, 6) NOT NULL,
    currency text NOT NULL,
    city text NOT NULL,
    country text NOT NULL,
    priority text NOT NULL,
    line_count integer NOT NULL,
    tracking_number text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX orders_by_time ON orders (created_at, order_id);
CREATE INDEX orders_by_customer ON orders (customer_id, created_at, order_id);
CREATE INDEX orders_by_status ON orders (status, created_at, order_id);

CREATE TABLE order_lines (
    order_id text COLLATE "C" NOT NULL,
    line integer NOT NULL,
    product_id text COLLATE "C" NOT NULL,
    product_name text NOT NULL,
    quantity integer NOT NULL,
    unit_price numeric(18, 6) NOT NULL,
    PRIMARY KEY (order_id, line)
);
