"""The error of a refused token request."""

from __future__ import annotations

__all__ = ["TokenError"]


class TokenError(Exception):
    """A refusal; `code` is one of RFC 6749's, `challenge` if the client named itself by Authorization."""

    def __init__(self, code: str, detail: str, *, status: int = 400, challenge: bool = False) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status
        self.challenge = challenge
