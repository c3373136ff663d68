"""Imports whole data sets and compares the system with what DuckDB computes from the same files."""
