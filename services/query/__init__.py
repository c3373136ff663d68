"""Query: answers from the read database, and writes nothing."""
