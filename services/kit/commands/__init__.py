"""Handling a command: load, decide, append, publish, at most once."""
