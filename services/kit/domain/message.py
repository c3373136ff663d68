"""The base types of the messages in `services.contracts`.

A message is a frozen model. Making one with an unknown field is an error. Reading one ignores unknown fields, because a
newer producer may have added them.
"""

# Annotations are not postponed here, in `services.contracts` and in the messages of sagas: pydantic would compile the
# text of each again for every message that inherits it, in every cold start.

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, core_schema

__all__ = [
    "ERASED",
    "REQUEST_EXPIRES_AFTER",
    "Currency",
    "Email",
    "Instant",
    "Message",
    "Metadata",
    "Money",
    "Personal",
    "PersonalMark",
    "Sku",
    "Value",
]

T = TypeVar("T")

ERASED = "[erased]"
"""The value of a required personal text after its person was erased."""

REQUEST_EXPIRES_AFTER = timedelta(hours=24)
"""A receiver answers that an older request failed, instead of carrying it out late."""


class _EmailError:
    """Replaces the error text of the pattern, which is unreadable, by one with an example."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.custom_error_schema(
            handler(source),
            custom_error_type="email",
            custom_error_message="this must be one plain e-mail address, such as ann@example.com",
        )


Instant = AwareDatetime
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Email = Annotated[
    str,
    StringConstraints(
        max_length=254,
        strip_whitespace=True,
        pattern=r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+)*"
        r"@[A-Za-z0-9]([A-Za-z0-9\-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9\-]*[A-Za-z0-9])?)*$",
    ),
    _EmailError(),
]
"""One plain address (RFC 5322 dot-atom). A mail server reads `a,b@c` as two addresses and `<b@c` as `b@c`."""
Sku = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[!-$&-~]([ -$&-~]*[!-$&-~])?$")]
"""Printable ASCII without `%`: it becomes a CloudEvents subject, and Knative's Kafka broker corrupts other text."""
Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_.\-]+$")],
        Annotated[str, StringConstraints(max_length=500)],
    ],
    Field(max_length=50),
]
"""Texts that other systems store with a thing, by name; zerocart does not interpret them."""


@dataclass(frozen=True, slots=True)
class PersonalMark:
    """Marks a field as personal data: encrypted with a key per person (`kit/privacy`) and kept out of logs."""


Personal = Annotated[T, PersonalMark()]


class Value(BaseModel):
    """A frozen value in a message."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    @classmethod
    def of(cls, source: BaseModel, /, **values: object) -> Self:
        """An instance with `values`, and with the value in `source` of every other field that both classes declare."""
        shared = {name: getattr(source, name) for name in _shared(cls, type(source))}
        return cls.model_validate({**shared, **values})


@cache
def _shared(one: type[Value], other: type[Value]) -> tuple[str, ...]:
    """The fields that both classes declare."""
    return tuple(name for name in one.model_fields if name in other.model_fields)


class Money(Value):
    """An exact amount in one currency; it keeps its number of decimals."""

    amount: Decimal = Field(allow_inf_nan=False, max_digits=18, decimal_places=6)
    currency: Currency

    def __add__(self, other: Self) -> Self:
        self._same_currency(other)
        return self.model_construct(amount=self.amount + other.amount, currency=self.currency)

    def __sub__(self, other: Self) -> Self:
        self._same_currency(other)
        return self.model_construct(amount=self.amount - other.amount, currency=self.currency)

    def _same_currency(self, other: Self) -> None:
        if self.currency != other.currency:
            raise ValueError(f"cannot combine {self.currency} with {other.currency}")


class Message(Value):
    """An event or a request; it is appended to the event store and published as a CloudEvent.

    `type` is its CloudEvents type and never changes. `key` names the field that is the subject and the partition key.
    `person_in` names the fields with the id of the person whom its personal data is about; the first of these fields
    that has a value names the person. Only requests have `expires_after`.
    """

    type: ClassVar[str]
    key: ClassVar[str]
    person_in: ClassVar[tuple[str, ...]] = ()
    expires_after: ClassVar[timedelta | None] = None

    @property
    def key_value(self) -> str:
        """The value of the field that `key` names."""
        return str(getattr(self, type(self).key))

    @property
    def person(self) -> str:
        """The id of the person whom its personal data is about; ValueError if no field names one."""
        for name in type(self).person_in:
            if person := getattr(self, name):
                return str(person)
        raise ValueError(f"{self.type} has personal data, but none of the fields {type(self).person_in} names a person")

    @classmethod
    def read(cls, data: str | bytes) -> Self:
        """The message in this JSON, without its unknown fields; pydantic.ValidationError if it is invalid."""
        return cls.model_validate_json(data, extra="ignore")

    @classmethod
    def read_parsed(cls, content: Mapping[str, Any]) -> Self:
        """The same from parsed JSON."""
        return cls.model_validate(content, extra="ignore")

    def write(self) -> str:
        """The JSON that is stored and published."""
        return self.model_dump_json(exclude_none=True)
