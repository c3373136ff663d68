"""Outgoing calls: timeouts, retries and circuit breakers."""
