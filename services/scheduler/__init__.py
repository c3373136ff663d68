"""Scheduler: publishes a message at a later time, so that no other service has to stay awake for it."""
