-- What UCI Online Retail must come to. $file, $orders_max and the table `codes` (name, code) are given.
CREATE TABLE raw AS
SELECT
    row_number() OVER () AS line, trim(InvoiceNo) AS invoice, trim(StockCode) AS product,
    coalesce(nullif(regexp_replace(trim(coalesce(Description, '')), '\s+', ' ', 'g'), ''), '(no description)') AS name,
    CAST(Quantity AS BIGINT) AS quantity, CAST(UnitPrice AS DECIMAL(18, 6)) AS price,
    CAST(timezone('Europe/London', CAST(InvoiceDate AS TIMESTAMP)) AS TIMESTAMPTZ) AS placed,
    split_part(coalesce(CustomerID, ''), '.', 1) AS customer, Country AS country
FROM read_csv($file, header = true, all_varchar = true, parallel = false);

CREATE TABLE invoice AS
SELECT
    invoice, min(line) AS line, arg_min(placed, line) AS placed, arg_min(customer, line) AS customer,
    arg_min(country, line) AS country
FROM raw GROUP BY invoice;

CREATE TABLE sold AS
SELECT * FROM raw
WHERE NOT starts_with(invoice, 'C') AND NOT starts_with(invoice, 'A')
    AND regexp_full_match(product, '[0-9]{5}[A-Za-z]{0,2}') AND quantity BETWEEN 1 AND 1000000 AND price > 0;

CREATE TABLE sale AS
SELECT *, row_number() OVER (ORDER BY line) AS number FROM (
    SELECT
        i.invoice, i.line, i.placed, i.customer, i.country, count(*) AS line_count,
        CAST(round(sum(s.quantity * s.price), 2) AS DECIMAL(18, 2)) AS total
    FROM invoice i JOIN sold s USING (invoice) GROUP BY ALL
) WHERE total > 0;

-- credit notes up to the first order that is not part of this
CREATE TABLE credit AS
SELECT invoice, line, customer FROM invoice
WHERE starts_with(invoice, 'C')
    AND line < coalesce((SELECT line FROM sale WHERE number = $orders_max + 1), 9000000000000000);
DELETE FROM sale WHERE number > $orders_max;

-- of each product: units, what they cost together, and the lowest price of one
CREATE TABLE content AS
SELECT
    invoice, list((product, units, value, cheapest)) FILTER (WHERE units <> 0) AS goods,
    CAST(sum(value) AS DECIMAL(18, 6)) AS money
FROM (
    SELECT
        invoice, product, sum(quantity) AS units, CAST(sum(quantity * price) AS DECIMAL(18, 6)) AS value,
        min(price) AS cheapest
    FROM sold JOIN sale USING (invoice) GROUP BY ALL
    UNION ALL
    SELECT invoice, product, -sum(quantity), -CAST(sum(quantity * price) AS DECIMAL(18, 6)), min(price)
    FROM raw JOIN credit USING (invoice)
    WHERE regexp_full_match(product, '[0-9]{5}[A-Za-z]{0,2}') GROUP BY ALL
) GROUP BY invoice HAVING count(*) FILTER (WHERE units <> 0) > 0;

-- what a credit note of a customer can be held against: the goods of orders and credit notes as they come
CREATE TABLE candidate AS
SELECT 'sale' AS kind, invoice, line, customer, goods, money FROM sale JOIN content USING (invoice)
WHERE customer <> ''
UNION ALL
SELECT 'credit', invoice, line, customer, goods, money FROM credit JOIN content USING (invoice)
WHERE customer <> '';

CREATE TABLE expected_state AS SELECT invoice, 'confirmed' AS status FROM sale;

CREATE TABLE who AS
SELECT
    invoice, placed,
    CASE WHEN customer = '' THEN 'guest-' || invoice ELSE 'customer-' || customer END || '@example.com' AS email,
    CASE WHEN customer = '' THEN 'Guest ' || invoice ELSE 'Customer ' || customer END AS name,
    customer <> '' AS known, total, line_count, 'GBP' AS currency, coalesce(code, country) AS country,
    'Exampleton' AS city
FROM sale LEFT JOIN codes ON codes.name = sale.country;

CREATE TABLE item AS
SELECT invoice, product AS product_id, name AS product_name, quantity, price FROM sold JOIN sale USING (invoice);
CREATE TABLE level (product_id VARCHAR, units BIGINT);
