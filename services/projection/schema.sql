-- What people look at. Every row follows from the log; all of it may be thrown away and built again.

CREATE TABLE checkpoints (
    view text PRIMARY KEY,
    epoch integer NOT NULL,
    transaction_id bigint NOT NULL,
    position bigint NOT NULL
);
INSERT INTO checkpoints VALUES ('main', 0, 0, 0);

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
CREATE INDEX orders_by_customer ON orders (customer_id, created_at);
CREATE INDEX orders_by_status ON orders (status, created_at);

CREATE TABLE order_lines (
    order_id text COLLATE "C" NOT NULL,
    line integer NOT NULL,
    product_id text COLLATE "C" NOT NULL,
    product_name text NOT NULL,
    quantity integer NOT NULL,
    unit_price numeric(18, 6) NOT NULL,
    PRIMARY KEY (order_id, line)
);

CREATE TABLE timeline (
    order_id text COLLATE "C" NOT NULL,
    position text COLLATE "C" NOT NULL,
    time timestamptz NOT NULL,
    service text NOT NULL,
    type text NOT NULL,
    words text NOT NULL,
    PRIMARY KEY (order_id, position)
);

CREATE TABLE stock (
    product_id text COLLATE "C" PRIMARY KEY,
    product_name text,
    on_hand integer NOT NULL,
    reserved integer NOT NULL,
    low_below integer NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE customers (
    customer_id text COLLATE "C" PRIMARY KEY,
    customer_name text,
    email text,
    orders integer NOT NULL,
    first_order_at timestamptz NOT NULL,
    last_order_at timestamptz NOT NULL
);
