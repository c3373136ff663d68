-- The products and prices of the catalogue, one row for each, as the newest event that arrived describes it.
CREATE TABLE price_book (
    sku text COLLATE "C" PRIMARY KEY,
    version integer NOT NULL,
    content text NOT NULL
);
