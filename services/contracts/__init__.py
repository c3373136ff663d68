"""Vocabulary without mechanism: every message that is said in zerocart, one file per producer."""
