"""`zerocart demo`: places real orders, and compares the totals with those that it computes from the file alone."""
