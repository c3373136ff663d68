"""Projection: feeds the read database from the event store; a CloudEvent only tells it to read on."""
