"""Invoices and packing slips as PDF, made when somebody asks for them and not stored."""
