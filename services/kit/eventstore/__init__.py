"""The event store on Postgres: streams, one global order, inbox marks, an outbox; schema, roles, metrics tables."""
