"""`zerocart demo`: real orders through every service, compared with totals computed from the file alone."""
