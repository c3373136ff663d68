"""Invoices and packing slips as PDF, which are made for each request and not stored."""
