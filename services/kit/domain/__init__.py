"""Messages, deciders, errors and value types for the pure parts of every service."""
