"""Fulfillment: the saga that takes an order from placed to confirmed, or back."""
