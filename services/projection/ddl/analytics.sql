-- every order that was placed, as the sums know it
CREATE TABLE counted (
    order_id text COLLATE "C" PRIMARY KEY,
    customer_id text COLLATE "C",
    country text NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    total numeric NOT NULL,
    refunded numeric NOT NULL,
    placed_on date NOT NULL,
    created_at timestamptz NOT NULL,
    seconds numeric
) WITH (fillfactor = 85);

-- what was in it, written once: [[product, units, value], ...]
CREATE TABLE baskets (
    order_id text COLLATE "C" PRIMARY KEY,
    lines text NOT NULL
);

CREATE TABLE product_names (
    product_id text COLLATE "C" PRIMARY KEY,
    product_name text NOT NULL
);

-- sums by period: a day, an ISO week, a month, a year; of customers by decade, too
CREATE TABLE by_status (
    period text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    country text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    orders bigint NOT NULL,
    refunds bigint NOT NULL,
    ordered numeric NOT NULL,
    refunded numeric NOT NULL,
    PRIMARY KEY (period, currency, country, status)
);

CREATE TABLE by_product (
    period text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    product_id text COLLATE "C" NOT NULL,
    orders bigint NOT NULL,
    sold bigint NOT NULL,
    cancelled bigint NOT NULL,
    failed bigint NOT NULL,
    refunds bigint NOT NULL,
    units bigint NOT NULL,
    units_sold bigint NOT NULL,
    ordered numeric NOT NULL,
    revenue numeric NOT NULL,
    PRIMARY KEY (period, currency, product_id)
);

CREATE TABLE by_customer (
    period text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    orders bigint NOT NULL,
    sold bigint NOT NULL,
    cancelled bigint NOT NULL,
    failed bigint NOT NULL,
    refunds bigint NOT NULL,
    ordered numeric NOT NULL,
    revenue numeric NOT NULL,
    refunded numeric NOT NULL,
    PRIMARY KEY (period, currency, customer_id)
);

-- how long orders took to be confirmed: a histogram of those that took more than `over` and at most `up_to` seconds
CREATE TABLE confirmations (
    period text COLLATE "C" NOT NULL,
    over integer NOT NULL,
    up_to integer NOT NULL,
    orders bigint NOT NULL,
    seconds numeric NOT NULL,
    PRIMARY KEY (period, over, up_to)
);
