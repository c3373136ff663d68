"""Routes that read JSON: strict, bounded in size and time, after the access rule and the rate limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from operator import attrgetter
from typing import Any, TypeVar, get_args, get_origin

from fastapi import APIRouter, Depends, Request, Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticUndefined

from services.kit.auth.access import Access, Anybody, rule_of
from services.kit.domain.errors import FieldError, Invalid, Unreadable
from services.kit.domain.texts import odd_texts
from services.kit.rest.limits import limit_of
from services.kit.rest.problems import RESPONSES
from services.kit.wire.asgi import BODY_SECONDS_MAX, UnsupportedType, read_body
from services.kit.wire.strict_json import UTF_8, may_have_odd_texts, read_json

__all__ = [
    "BODY_BYTES_MAX", "CSV", "JSON", "SMALL_BODY_BYTES_MAX", "BatchJsonRequest", "JsonRequest", "JsonRoute",
    "SmallJsonRequest", "TableRequest", "TypedRoute", "json_router", "provided", "refuse_odd_texts", "router_of",
]  # fmt: skip

JSON, CSV = "application/json", "text/csv"
BODY_BYTES_MAX = 1_000_000
SMALL_BODY_BYTES_MAX = 16_384
POSITION = {"position": False}
"""Every route may get the position of an answer: those that read what their service wrote need not wait for it."""
Provided = TypeVar("Provided")


class JsonRequest(Request):
    """A request with a bounded body of strict JSON whose texts have no control characters."""

    bytes_max = BODY_BYTES_MAX
    checks_texts = True
    checks_parameters = True
    media_types = (JSON,)

    async def body(self) -> bytes:
        """The whole body; TooLarge above `bytes_max`, TooSlow if it does not come."""
        if not hasattr(self, "_body"):
            self._body = await read_body(self.receive, self.bytes_max, BODY_SECONDS_MAX)
        return self._body

    async def check(self) -> None:
        """Read the body, if there is one; TooLarge, UnsupportedType, Unreadable or Invalid if it cannot be used."""
        if "\0" in self.scope["path"] or b"%00" in self.scope["query_string"]:
            raise Unreadable("bad-address", "The path and the query must not contain NUL.")
        if not await self.body():
            return
        media_type, _, parameters = self.headers.get("content-type", "").lower().partition(";")
        if media_type.strip() not in self.media_types or parameters.strip() not in UTF_8:
            raise UnsupportedType("unsupported-media-type", f"send {' or '.join(self.media_types)}, in UTF-8")
        if self.headers.get("content-encoding", "identity") != "identity":
            raise UnsupportedType("unsupported-encoding", "send the body without Content-Encoding")
        if media_type.strip() != JSON:
            return
        self._json = read_json(self._body)
        if self.checks_texts and may_have_odd_texts(self._body):
            refuse_odd_texts(self._json)

    async def json(self) -> Any:
        """The body as JSON; Unreadable if it is none."""
        if not hasattr(self, "_json"):
            self._json = read_json(await self.body())
        return self._json


def refuse_odd_texts(value: object) -> None:
    """Raise Invalid if a text in parsed JSON has a control character or one that changes the direction of text."""
    detail = "The text has a control character, or one that changes the direction of text. Remove it."
    if faults := tuple(FieldError(place or "body", "control-character", detail) for place in odd_texts(value)):
        raise Invalid("invalid", "Some fields are not valid: `errors` names them.", faults)


class TypedRoute(APIRoute):
    """A route whose return annotation is for the type checker and the document: FastAPI makes no model of it."""

    def __init__(
        self, path: str, endpoint: Callable[..., object], *, response_model: object = None, **options: Any
    ) -> None:
        model = None if isinstance(response_model, DefaultPlaceholder) else response_model
        super().__init__(path, endpoint, response_model=model, **options)


class JsonRoute(TypedRoute):
    """A route that reads JSON by `request_class`, and refuses query parameters that it does not have or has twice.

    With a misspelt `draft=true` an order would be placed, and of two pages only one would be read.
    """

    request_class: type[JsonRequest] = JsonRequest

    def __init__(self, path: str, endpoint: Callable[..., object], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        if "POST" in (self.methods or ()) and (body := self.body_field) and body.field_info.is_required():
            body.field_info.default = _body_of_defaults(body.field_info.annotation)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, called with such a request."""
        handle = super().get_route_handler()
        rule, limit, known = rule_of(self), limit_of(self), {**POSITION, **dict(_parameters(self.dependant))}

        async def bounded(request: Request) -> Response:
            checked = self.request_class(request.scope, request.receive)
            # first the rule and the limit: no body is read of a caller who is refused
            if isinstance(rule, Access | Anybody):
                await rule(checked)
            if limit is not None:
                await limit(checked)
            await checked.check()  # here, because FastAPI would turn each of these errors into one vague 400
            if checked.checks_parameters and request.scope["query_string"]:
                _refuse_parameters(checked, known)
            return await handle(checked)

        return bounded


def _body_of_defaults(kind: object) -> Any:
    """The body that a POST without one means: every field has its default. Still required if a field has none.

    The body of another method is content, not options: a PUT that lost its body must not reset what it replaces.
    """
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return PydanticUndefined
    try:
        return kind()
    except ValidationError:
        return PydanticUndefined


def _parameters(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """The names of the query parameters, and whether each may occur several times.

    Raises TypeError if a model gathers parameters: their names would be unknown here.
    """
    for each in dependant.query_params:
        kind = each.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            raise TypeError(f"declare each field of {each.name} as a query parameter of its own")
    yield from ((each.alias, _is_list(each.field_info.annotation)) for each in dependant.query_params)
    for one in dependant.dependencies:
        yield from _parameters(one)


def _is_list(annotation: object) -> bool:
    return get_origin(annotation) is list or any(map(_is_list, get_args(annotation)))


def _refuse_parameters(request: Request, known: Mapping[str, bool]) -> None:
    """Raise Invalid if a query parameter is unknown, or occurs several times and may not."""
    names = Counter(name for name, _ in request.query_params.multi_items())
    if unknown := sorted(name for name in names if name not in known):
        fields = tuple(FieldError(name, "unknown", "This route has no such parameter.") for name in unknown)
        has = f"Its parameters are: {', '.join(sorted(known))}"
        raise Invalid("unknown-parameter", f"This route has no parameter {' or '.join(unknown)}. {has}.", fields)
    if repeated := sorted(name for name, times in names.items() if times > 1 and not known[name]):
        fields = tuple(FieldError(name, "repeated", "Send this parameter once.") for name in repeated)
        raise Invalid("repeated-parameter", f"Send {', '.join(repeated)} once, not several times.", fields)


class SmallJsonRequest(JsonRequest):
    """A request with a small body, for routes that need no token."""

    bytes_max = SMALL_BODY_BYTES_MAX


class BatchJsonRequest(JsonRequest):
    """A request with many elements that are refused one by one; the route checks the texts of each element."""

    checks_texts = False


class TableRequest(BatchJsonRequest):
    """A request with many elements as JSON or as CSV; the route reads the CSV."""

    media_types = (JSON, CSV)

    @property
    def is_csv(self) -> bool:
        """Whether the body is CSV."""
        return self.headers.get("content-type", "").lower().partition(";")[0].strip() == CSV


def json_router(reads: type[JsonRequest] = JsonRequest) -> APIRouter:
    """A router of JsonRoutes that read this kind of request."""

    class Route(JsonRoute):
        request_class = reads

    return router_of(Route)


def router_of(kind: type[APIRoute]) -> APIRouter:
    """A router of routes of this class, with documented errors; the name of a route is the id of its operation."""
    return APIRouter(route_class=kind, responses=RESPONSES, generate_unique_id_function=attrgetter("name"))


def provided(kind: type[Provided]) -> Any:
    """A parameter of a route: the object of this class that the service was given (`provides` of Service)."""

    async def find(request: Request) -> Provided:
        return request.app.state.provided[kind]

    return Depends(find)
