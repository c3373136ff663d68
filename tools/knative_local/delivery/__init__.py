"""Delivery of a Kafka topic's events to the subscribers of its Triggers, by the Knative Kafka broker's own rules."""
