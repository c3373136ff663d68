-- The last event that is final: no running transaction can still append before it.
SELECT epoch, transaction_id, position
FROM events
WHERE
    (epoch, transaction_id) < (
        (SELECT c.epoch FROM cluster AS c),
        (SELECT pg_snapshot_xmin(pg_current_snapshot()))
    )
ORDER BY epoch DESC, transaction_id DESC, position DESC
LIMIT 1
