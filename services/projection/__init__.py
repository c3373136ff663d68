"""Projection: feeds the read database from the log; a CloudEvent only wakes it."""
