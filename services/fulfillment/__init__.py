"""Fulfillment: the saga that confirms an order, or undoes what was done for it."""
