CREATE TABLE stock (
    product_id text COLLATE "C" PRIMARY KEY,
    product_name text,
    on_hand integer NOT NULL,
    reserved integer NOT NULL,
    low_below integer NOT NULL,
    updated_at timestamptz NOT NULL
);
