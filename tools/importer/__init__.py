"""Replaying real orders through the public edge, and the books that say whether it went right."""
