"""Subcommands of `zerocart`."""
