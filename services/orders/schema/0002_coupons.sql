-- The uses of coupons that have a limit, and the orders that have taken one.
CREATE TABLE coupons (
    code text COLLATE "C" PRIMARY KEY,
    uses integer NOT NULL CHECK (uses >= 0)
);
CREATE TABLE coupon_uses (
    order_id text COLLATE "C" PRIMARY KEY,
    code text COLLATE "C" NOT NULL
);
