-- The sandbox carrier's own books.
CREATE TABLE sandbox_shipments (
    order_id text COLLATE "C" PRIMARY KEY,
    shipment_id text COLLATE "C" NOT NULL,
    cancelled boolean NOT NULL DEFAULT false
);

CREATE TABLE sandbox_faults (
    key text COLLATE "C" PRIMARY KEY
);
