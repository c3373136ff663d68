"""Settings and secrets from environment variables and files."""
