"""Scheduler: durable delayed messages. Nothing sleeps in zerocart; who wants something later asks here."""
