"""Mechanism without a business word: what every service is made of."""
