SELECT epoch, pg_snapshot_xmin(pg_current_snapshot()) AS transaction_id FROM cluster
