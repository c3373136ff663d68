"""Payments: authorizes, captures, voids and refunds payments through a payment provider."""
