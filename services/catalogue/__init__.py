"""Catalogue: the products of the shop and their prices."""
