"""What users answers, for the OpenAPI document."""

from __future__ import annotations

from services.kit.rest.schemas_by_hand import (
    COUNT,
    ETAG,
    TEXT,
    Responses,
    Schema,
    command_answer,
    json_answer,
    list_of,
    one_of,
    optional,
    shape,
)

__all__ = [
    "CHANGED", "KEYS", "PREFERENCES", "PREFERRED", "REGISTERED", "RESET_ASKED", "STATUS", "TOKEN", "USER", "VERIFYING",
]  # fmt: skip

_PREFERENCES: dict[str, Schema] = {"notifications": {"type": "boolean"}, "newsletter": {"type": "boolean"}}
_STATUS: dict[str, Schema] = {
    "id": {**TEXT, "examples": ["usr_01jd8xk3v5e6s7t8w9x0y1z2a3"]},
    "status": one_of("pending_verification", "active", "suspended"),
}
_USER: dict[str, Schema] = {
    **_STATUS,
    "email": {**TEXT, "examples": ["ann@example.com"]},
    "name": TEXT,
    "company": optional(TEXT),
    "role": optional(TEXT),
    "phone": optional(TEXT),
    "age": optional(COUNT),
    "preferences": shape("Preferences", _PREFERENCES),
}

USER: Responses = {200: json_answer("The account.", shape("User", _USER), ETAG)}
REGISTERED: Responses = {
    201: command_answer(
        "The account is made; a mail with a token for `activate` is on its way.",
        "UserNow",
        _USER,
        location="The address of the account.",
    )
}
CHANGED: Responses = {200: command_answer("The account as it is now.", "UserNow", _USER)}
STATUS: Responses = {200: command_answer("The account's status now.", "UserStatus", _STATUS)}
VERIFYING: Responses = {202: command_answer("A mail with a new token is on its way.", "UserStatus", _STATUS)}
PREFERENCES: Responses = {200: json_answer("The preferences.", shape("Preferences", _PREFERENCES), ETAG)}
PREFERRED: Responses = {200: command_answer("The preferences as they are now.", "PreferencesNow", _PREFERENCES)}
RESET_ASKED: Responses = {
    202: json_answer("If there is such an account, a mail with a token is on its way.", shape("Nothing", {}))
}
TOKEN: Responses = {
    200: json_answer(
        "A token (RFC 6749, 5.1).",
        shape(
            "Token",
            {
                "access_token": TEXT,
                "token_type": one_of("Bearer"),
                "expires_in": {**COUNT, "description": "Seconds.", "examples": [900]},
                "scope": {**TEXT, "examples": ["orders:read orders:write"]},
                "refresh_token": {**TEXT, "description": "For users: good once, for the next token."},
            },
            may_miss=["refresh_token"],
        ),
    )
}
KEYS: Responses = {
    200: json_answer(
        "The keys (RFC 7517).",
        shape(
            "KeySet", {"keys": list_of({"type": "object", "additionalProperties": TEXT, "required": ["kty", "kid"]})}
        ),
    )
}
