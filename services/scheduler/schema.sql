-- Messages to be published later. A cancelled timer stays for a while: its cancellation may arrive before its request.
CREATE TABLE timers (
    timer_id text COLLATE "C" PRIMARY KEY,
    due_at timestamptz NOT NULL,
    cancelled boolean NOT NULL DEFAULT false,
    type text NOT NULL,
    key text COLLATE "C" NOT NULL,
    data text NOT NULL,
    meta text NOT NULL
);
CREATE INDEX timers_due ON timers (due_at) WHERE NOT cancelled;
CREATE INDEX timers_over ON timers (due_at) WHERE cancelled;
