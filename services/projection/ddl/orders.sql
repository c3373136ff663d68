CREATE TABLE orders (
    order_id text COLLATE "C" PRIMARY KEY,
    customer_id text COLLATE "C",
    email text,
    customer_name text,
    status text COLLATE "C" NOT NULL,
    reason text,
    total numeric(18, 6) NOT NULL,
    currency text COLLATE "C" NOT NULL,
    city text NOT NULL,
    country text COLLATE "C" NOT NULL,
    priority text NOT NULL,
    line_count integer NOT NULL,
    tracking_number text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    source text COLLATE "C", -- the system that it was imported from, and its number there
    number text COLLATE "C"
);
-- each sort of the list, ties and all, is a walk along one of these, either way; so is each filter by one value
CREATE INDEX orders_by_time ON orders (created_at, order_id);
CREATE INDEX orders_by_update ON orders (updated_at, order_id);
CREATE INDEX orders_by_customer ON orders (coalesce(customer_id, ''), created_at, order_id);
CREATE INDEX orders_by_status ON orders (status, created_at, order_id);
CREATE INDEX orders_by_country ON orders (country, created_at, order_id);
CREATE INDEX orders_by_currency ON orders (currency, created_at, order_id);
CREATE INDEX orders_by_total ON orders (total, created_at, order_id);
CREATE INDEX orders_by_source ON orders (source, created_at, order_id) WHERE source IS NOT NULL;
CREATE INDEX orders_by_number ON orders (number, created_at, order_id) WHERE number IS NOT NULL;

CREATE TABLE order_lines (
    order_id text COLLATE "C" NOT NULL,
    line integer NOT NULL,
    product_id text COLLATE "C" NOT NULL,
    product_name text NOT NULL,
    quantity integer NOT NULL,
    unit_price numeric(18, 6) NOT NULL,
    created_at timestamptz NOT NULL, -- of the order: those with a product are a walk along the index, too
    PRIMARY KEY (order_id, line)
);
CREATE INDEX lines_by_product ON order_lines (product_id, created_at, order_id);

-- apart from the orders, because an order changes often and its text hardly ever: each change would be one of every term's
CREATE TABLE order_texts (
    order_id text COLLATE "C" PRIMARY KEY,
    created_at timestamptz NOT NULL,
    document tsvector NOT NULL
) WITH (toast_tuple_target = 8160);
CREATE INDEX order_texts_by_time ON order_texts (created_at, order_id);
CREATE INDEX order_texts_by_term ON order_texts USING gin (document);

-- in how many orders each term is; of one that is in none nothing is left
CREATE TABLE vocabulary (
    term text COLLATE "C" PRIMARY KEY,
    orders integer NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX vocabulary_by_likeness ON vocabulary USING gin (term public.gin_trgm_ops);
