INSERT INTO failures AS f (key, last_error, attributes, data)
VALUES ($1, $2, $3::json, $4)
ON CONFLICT (key) DO UPDATE
    SET attempts = f.attempts + 1, last_error = excluded.last_error, last_at = now(), parked = false
RETURNING attempts
