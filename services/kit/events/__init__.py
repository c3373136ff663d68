"""Receiving and publishing CloudEvents: the event endpoint, handlers, parked messages and Kafka."""
