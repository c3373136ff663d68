"""Whole data sets through the system, beside what DuckDB makes of the same files."""
