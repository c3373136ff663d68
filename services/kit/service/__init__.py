"""One service process: its ASGI application, its adapters, its start and its end."""
