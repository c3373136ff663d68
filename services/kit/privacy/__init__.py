"""Personal data: encryption per person, the key vault, tokens derived by HMAC."""
