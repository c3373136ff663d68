"""Shipping: plans parcels, orders and cancels their transport through a carrier behind a port, and tracks them."""
