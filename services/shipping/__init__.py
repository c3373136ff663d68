"""Shipping: plans parcels, orders and cancels their transport through a carrier, and tracks them."""
