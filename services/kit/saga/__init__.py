"""A saga as data: a table of steps, and a pure interpreter that says what to do next."""
