"""Imports orders of other systems through the public edge, and checks the totals."""
