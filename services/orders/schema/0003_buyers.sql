-- The customers of whom an order was confirmed while the shop had the rule that holds first orders.
CREATE TABLE buyers (
    customer_id text COLLATE "C" PRIMARY KEY
);
