"""`python services/healthy.py`: exits with 0 if the service in this container is ready. The image has no curl.

It imports nothing but sockets, because it runs every few seconds and must cost less than the idle service.
"""

from __future__ import annotations

import os
import socket
import sys

SECONDS_MAX = 2.0
REQUEST = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def main() -> None:
    """Request the path in the first argument, or `/healthz/ready`, on PORT; exits with the status line if it fails."""
    path = sys.argv[1] if len(sys.argv) > 1 else "/healthz/ready"
    try:
        with socket.create_connection(("127.0.0.1", int(os.environ.get("PORT", "8080"))), SECONDS_MAX) as connection:
            connection.sendall(REQUEST % path.encode())
            answer = connection.recv(64)
    except OSError as error:
        sys.exit(str(error))
    sys.exit(0 if b" 200 " in answer else answer.decode("latin-1").partition("\r")[0])


if __name__ == "__main__":
    main()
