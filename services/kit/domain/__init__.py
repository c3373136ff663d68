"""Messages, deciders, errors and value types: what the pure parts of every service are made of."""
