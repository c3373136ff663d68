-- What Oracle's customer orders must come to. $folder, $orders_max and the table `codes` (name, code) are given.
CREATE TABLE o AS SELECT * FROM read_csv($folder || '/orders.csv', header = true, all_varchar = true);
CREATE TABLE i AS SELECT * FROM read_csv($folder || '/order_items.csv', header = true, all_varchar = true);
CREATE TABLE c AS SELECT * FROM read_csv($folder || '/customers.csv', header = true, all_varchar = true);
CREATE TABLE p AS
SELECT * FROM read_csv($folder || '/products.csv', header = true, all_varchar = true, quote = '"', escape = '"');
CREATE TABLE s AS SELECT * FROM read_csv($folder || '/shipments.csv', header = true, all_varchar = true);
CREATE TABLE t AS
SELECT * FROM read_csv($folder || '/stores.csv', header = true, all_varchar = true, quote = '"', escape = '"');
CREATE TABLE n AS SELECT * FROM read_csv($folder || '/inventory.csv', header = true, all_varchar = true);

CREATE TABLE sale AS
SELECT order_id AS invoice, * FROM (
    SELECT *, row_number() OVER (ORDER BY order_tms) AS number FROM o
) WHERE number <= $orders_max;

CREATE TABLE item AS
SELECT
    i.order_id AS invoice, i.product_id, p.product_name, CAST(i.quantity AS BIGINT) AS quantity,
    CAST(i.unit_price AS DECIMAL(18, 6)) AS price, s.shipment_status, s.delivery_address
FROM i JOIN sale ON sale.order_id = i.order_id JOIN p USING (product_id) LEFT JOIN s USING (shipment_id);

-- given back is cancelled; else an order is where the last of its parcels is
CREATE TABLE expected_state AS
SELECT invoice, CASE
    WHEN order_status IN ('CANCELLED', 'REFUNDED') THEN 'cancelled'
    WHEN bool_and(coalesce(shipment_status, '') = 'DELIVERED') THEN 'delivered'
    WHEN bool_and(coalesce(shipment_status, '') IN ('DELIVERED', 'IN-TRANSIT', 'SHIPPED')) THEN 'shipped'
    ELSE 'confirmed'
END AS status
FROM sale JOIN item USING (invoice) GROUP BY invoice, order_status;

CREATE TABLE candidate (
    kind VARCHAR, invoice VARCHAR, line BIGINT, customer VARCHAR, goods VARCHAR[], money DECIMAL(18, 6)
);

CREATE TABLE who AS
SELECT
    invoice, CAST(timezone('UTC', CAST(substr(order_tms, 1, 26) AS TIMESTAMP)) AS TIMESTAMPTZ) AS placed,
    email_address || '.example' AS email, full_name AS name, true AS known,
    CAST(round(sum(quantity * price), 2) AS DECIMAL(18, 2)) AS total, count(*) AS line_count, 'USD' AS currency,
    code AS country, coalesce(split_part(min(delivery_address), ',', 1), store_name) AS city
FROM sale JOIN item USING (invoice) JOIN c USING (customer_id) JOIN t USING (store_id)
    JOIN codes ON codes.name = store_name
GROUP BY invoice, order_tms, email_address, full_name, code, store_name;

CREATE TABLE level AS
SELECT product_id, sum(CAST(product_inventory AS BIGINT)) AS units FROM n GROUP BY product_id;
