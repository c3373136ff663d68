-- The numbers of orders whose events are archived (services/orders/links.py): the index above has only events in the table.
CREATE TABLE archived_numbers (
    number text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    PRIMARY KEY (number, stream)
);
