"""Shipping: parcels planned, handed to a carrier, taken back, and where they are."""
