"""People of the staff with accounts of their own, for a local cluster."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from uuid import uuid4

from tests.e2e.local import Local

__all__ = ["PASSWORD", "joined"]

PASSWORD = "correct horse battery"
TOKEN = re.compile(r"^usr_\w+\.[A-Za-z0-9_-]{43}(?=\r?$)", re.M)


def joined(local: Local, role: str, name: str = "Sam Staff") -> str:
    """Invite somebody, who accepts; the e-mail address to log in with, beside PASSWORD."""
    email = f"{role}-{uuid4().hex}@shop.example.com"
    with local.client() as client:
        body = {"email": email, "name": name, "role": role}
        user_id = client.post("/staff", json=body).raise_for_status().json()["id"]
        token = local.until(lambda: _invitation(local, user_id), 90)
        client.post("/password-reset/confirm", json={"token": token, "new": PASSWORD}).raise_for_status()
    return email


def _invitation(local: Local, user_id: str) -> str | None:
    for file in (local.state.home / "mail").glob("*.eml"):
        mail = message_from_bytes(file.read_bytes(), policy=policy.default)
        part = mail.get_body(("plain",)) if f"<staff_invitation.{user_id}." in str(mail["Message-ID"]) else None
        if part and (found := TOKEN.search(part.get_content())):
            return found[0]
    return None
