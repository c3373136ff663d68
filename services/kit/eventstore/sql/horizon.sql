-- The last event that is final; `cut_at` if $1 is among those that the event store lost.
SELECT horizon, cut_at FROM log.horizon($1)
