"""Inventory: stock levels, and goods held for orders."""
