"""Sagas: a table of steps, a pure interpreter that runs it, and the rules of its participants."""
