"""Tokens of access: who gets one, for how long, and by which keys others know that it is ours."""
