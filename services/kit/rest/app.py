"""The REST part of a service: FastAPI with problem+json errors (RFC 9457), bounded JSON and idempotent commands.

Idempotency-Key: draft-ietf-httpapi-idempotency-key-header. The same key with the same body gets the first answer again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from services.kit.auth.access import Caller, check_rules
from services.kit.auth.tokens import Revocations, verifier
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.commands.outcome import Outcome
from services.kit.config.settings import Settings
from services.kit.domain.errors import Forbidden, Invalid, RuleViolation, Unavailable, ZerocartError
from services.kit.domain.message import Message
from services.kit.eventstore.port import Mark
from services.kit.rest.answers import Body, CommandAnswer, command_answer
from services.kit.rest.faults import not_valid
from services.kit.rest.limits import Limits, rates_of, within_rate
from services.kit.rest.problems import headers_of, problem, status_of
from services.kit.rest.routes import json_router, provided
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS
from services.kit.telemetry.tracing import TRACE, Span, span
from services.kit.wire.asgi import App, Receive, Scope, Send, trace_of

__all__ = [
    "HEADERS", "ExpectedVersion", "Handler", "RestCause", "UnmarkedCause", "json_router", "provided",
    "respond", "rest_app",
]  # fmt: skip

IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")
ENTITY_TAG = re.compile(r'"([0-9]{1,9})"')


async def _unmarked_cause(request: Request) -> Cause:
    caller = _caller(request)
    return Cause(at=datetime.now(UTC), principal=caller and caller.principal)


async def _rest_cause(request: Request) -> Cause:
    caller = _caller(request)
    return Cause(at=datetime.now(UTC), mark=await _mark(request, caller), principal=caller and caller.principal)


def _caller(request: Request) -> Caller | None:
    return getattr(request.state, "caller", None)


async def _mark(request: Request, caller: Caller | None) -> Mark | None:
    """The mark of the Idempotency-Key, if there is one."""
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    key = keys[0]
    if len(keys) > 1 or not IDEMPOTENCY_KEY.fullmatch(key):
        raise Invalid(
            "bad-idempotency-key", "Send the header Idempotency-Key once, with 1 to 255 visible ASCII characters."
        )
    query = request.scope["query_string"]  # the same body with `draft=true` is another request
    fingerprint = hashlib.sha256(await request.body() + (b"?" + query if query else b"")).hexdigest()
    whose = caller.subject if caller else ""  # a key means something to its own caller only
    place = f"{request.method} {request.scope['path']}"
    return Mark(f"{whose} {place} {key}", fingerprint)


async def _expected_version(request: Request) -> int | None:
    text = request.headers.get("if-match")
    if text in (None, "*"):
        return None
    match = ENTITY_TAG.fullmatch(text)
    if match is None:
        raise Invalid("bad-if-match", 'If-Match must be the ETag of an earlier answer, such as "3".')
    return int(match[1])


Handler = Annotated[CommandHandler, provided(CommandHandler)]
"""Parameter of a command's route: the service's command handler."""

RestCause = Annotated[Cause, Depends(_rest_cause)]
"""Parameter of a command's route: the time, the principal, and the mark of the Idempotency-Key."""

UnmarkedCause = Annotated[Cause, Depends(_unmarked_cause)]
"""The same without an Idempotency-Key: for a command that is safe to repeat, and for the request of a password reset,
where a stored answer would reveal whether the address has an account."""

ExpectedVersion = Annotated[int | None, Depends(_expected_version)]
"""Parameter of a command's route: the version that If-Match names, if any."""

HEADERS: Mapping[object, Mapping[str, Any]] = {
    _rest_cause: {
        "name": "Idempotency-Key",
        "description": (
            "A text that the client chooses for this one request, such as a UUID. A repeat with the same key changes "
            "nothing and gets the first answer again. Refused (422) if another request used the key."
        ),
        "schema": {"type": "string", "pattern": f"^{IDEMPOTENCY_KEY.pattern}$"},
        "example": "5f0c2f6e-58a5-4c0e-9a55-0d7e5c1f2b6d",
    },
    _expected_version: {
        "name": "If-Match",
        "description": (
            "The `ETag` of the answer to the latest change that you know. Refused (412) if there is a later version, "
            "whose `ETag` the refusal has: read what changed, then repeat the request with it."
        ),
        "schema": {"type": "string", "pattern": rf"^(\*|{ENTITY_TAG.pattern})$"},
        "example": '"3"',
    },
}
"""The headers that these dependencies read, for OpenAPI: FastAPI would build a parameter anew for every route."""


async def respond(
    cause: Cause,
    act: Callable[[Cause], Awaitable[Outcome[Any]]],
    *,
    status: int,
    body: Body | Callable[[Sequence[Message]], Body],
    location: str = "",
) -> CommandAnswer[Body]:
    """Do `act` once and answer `body` and its `position`; a repeat of the Idempotency-Key gets the first answer again.

    `body` can be a function of the events that the command caused, which are none if nothing changed.

    `location` is the path at which the read side shows the result. The header Location has the position too, so that a
    client that follows it reads what the command wrote.

    While Kafka is away the events wait in the outbox: what Postgres has recorded is accepted.
    """

    def answer(events: Sequence[Message]) -> dict[str, Any]:
        return {"status": status, "body": body(events) if callable(body) else body, "location": location}

    def kept(events: Sequence[Message]) -> str:
        return json.dumps(answer(events))

    outcome = await act(replace(cause, answer_to=kept))
    first = outcome.repeated
    answered: dict[str, Any] = answer(outcome.events) if first is None else json.loads(first.mark.answer)
    place = answered["location"]
    headers = {"Location": f"{place}?position={outcome.position}"} if place else {}
    return command_answer(answered["status"], answered["body"], outcome, headers)


def rest_app(
    settings: Settings,
    routers: Sequence[APIRouter],
    provides: Sequence[object] = (),
    admin_scope: str = "",
    refusal: Callable[[Scope], ZerocartError | None] = lambda _: None,
    revocations: Revocations | None = None,
) -> FastAPI:
    """A FastAPI application of these routers, with our errors.

    Routes get what is in `provides` by its class. A token with `admin_scope` reaches the resources of everybody.
    `refusal` returns the error of a request that is not even routed. Tokens in `revocations` are refused.
    """
    # no document for each service: scripts/openapi.py makes one of all, and the edge serves it without waking a service
    app = FastAPI(
        title=f"zerocart {settings.service}",
        redirect_slashes=False,
        openapi_url=None,
    )
    app.state.verifier = verifier(settings, revocations)
    app.state.provided = {type(each): each for each in provides}
    app.state.admin_scope = admin_scope
    for router in routers:
        app.router.routes.extend(router.routes)  # `include_router` would make every route a second time
    app.state.limits = Limits({**rates_of(app.routes), **settings.rates})
    check_rules(app.routes)
    app.add_exception_handler(ZerocartError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_middleware(_Traced, refusal=refusal)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(settings.cors_origins), allow_methods=["*"], allow_headers=["*"],
            expose_headers=["ETag", "Location", "Retry-After", "Idempotent-Replayed", "traceresponse"],
        )  # fmt: skip
    return app


class _Traced:
    """Continues the caller's trace and counts the answer; an unexpected error becomes a 500.

    An error that reached the server would close the connection on which the edge sends other clients' requests.
    """

    def __init__(self, app: App, refusal: Callable[[Scope], ZerocartError | None]) -> None:
        self._app = app
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with span(scope["method"], "server", *trace_of(scope)) as serving:
            begun = False

            async def counted(message: Scope) -> None:
                nonlocal begun
                if message["type"] == "http.response.start":
                    begun = True
                    METRICS.count("requests", method=scope["method"], status=str(message["status"]))
                    _describe(serving, scope, message["status"])
                    message = {**message, "headers": [*message.get("headers", ()), _trace_header()]}
                await send(message)

            try:
                if error := self._refusal(scope):
                    await _refused(error)(scope, receive, counted)
                else:
                    await self._app(scope, receive, counted)
            except Exception as error:
                if begun:
                    raise
                await _broken(error)(scope, receive, counted)


def _trace_header() -> tuple[bytes, bytes]:
    """The trace of the request, by which the operator finds its log lines (W3C Trace Context, level 2)."""
    return b"traceresponse", TRACE.get().encode()


def _describe(serving: Span, scope: Scope, status: int) -> None:
    """Name the span by the route, not by the path, which may hold personal data."""
    route = getattr(scope.get("route"), "path", "")
    serving.rename(f"{scope['method']} {route}".strip())
    serving.set("http.request.method", scope["method"])
    serving.set("http.route", route)
    serving.set("http.response.status_code", status)


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ZerocartError)
    return _refused(within_rate(request, error))


def _refused(error: ZerocartError) -> Response:
    if isinstance(error, Unavailable):
        log("request not handled: the client can send it again", level=logging.WARNING, code=error.code)
    METRICS.count("errors", type=error.code)
    fields = error.fields if isinstance(error, Invalid | Forbidden) else ()
    more = error.more if isinstance(error, RuleViolation) else {}
    return problem(status_of(error), error.code, error.detail, fields, headers_of(error), more)


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    METRICS.count("errors", type="invalid")
    invalid = not_valid(error.errors(), request.scope.get("route"))
    return problem(422, invalid.code, invalid.detail, invalid.fields)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers, detail = dict(error.headers or {}), error.detail
    if error.status_code == 405:  # Starlette names the methods of the first route only that has this path
        headers["Allow"] = ", ".join(sorted(_methods(request)))
        detail = f"This path has no {request.method}. Its methods are: {headers['Allow']}."
    elif error.status_code == 404:
        detail = "No route has this path. `GET /openapi.json` lists the routes."
    codes = {404: "not-found", 405: "method-not-allowed", 415: "unsupported-media-type"}
    return problem(error.status_code, codes.get(error.status_code, "http-error"), detail, (), headers)


def _methods(request: Request) -> set[str]:
    routes: Sequence[object] = request.app.routes
    matching = (each for each in routes if isinstance(each, APIRoute) and each.path_regex.match(request.url.path))
    methods = {method for route in matching for method in route.methods or ()}
    return methods | {"HEAD"} if "GET" in methods else methods


def _broken(error: Exception) -> Response:
    METRICS.count("errors", type=type(error).__name__)
    log("request failed: unexpected error", level=logging.ERROR, error=error)
    return problem(500, "internal", "an unexpected error occurred and was logged: try again later")
