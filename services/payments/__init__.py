"""Payments: authorizes, captures, voids and refunds through a payment provider behind a port."""
