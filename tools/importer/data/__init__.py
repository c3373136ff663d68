"""A slice of real orders; README.md says whose they are."""
