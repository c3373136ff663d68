"""Users: accounts and their passwords, staff, API clients, and access tokens."""
