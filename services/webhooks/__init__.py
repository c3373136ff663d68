"""Sends events to other programs until they have received them."""
