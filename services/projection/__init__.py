"""Projection: writes the read database from the event store; shows an order at a past time; exports personal data."""
