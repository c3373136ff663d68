"""Authentication and authorization: bearer tokens, key sets, signatures, access rules."""
