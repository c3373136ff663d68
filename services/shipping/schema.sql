-- The shipments that the sandbox carrier has made.
CREATE TABLE sandbox_shipments (
    order_id text COLLATE "C" PRIMARY KEY,
    shipment_id text COLLATE "C" NOT NULL,
    cancelled boolean NOT NULL DEFAULT false
);

-- The scripted faults that were used up.
CREATE TABLE sandbox_faults (
    key text COLLATE "C" PRIMARY KEY
);
