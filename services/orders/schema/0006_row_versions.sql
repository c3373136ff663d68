-- An order depends on the prices that it was placed at (services/orders/price_book.py).
CREATE OR REPLACE VIEW row_versions AS SELECT sku AS key, version FROM price_book;
