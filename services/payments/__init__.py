"""Payments: money held, taken, let go and given back, through a provider behind a port."""
