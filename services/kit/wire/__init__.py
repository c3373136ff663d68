"""Formats on the wire: ASGI bodies, strict JSON, CloudEvents."""
