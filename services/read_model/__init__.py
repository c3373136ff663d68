"""What projection writes and query reads."""
