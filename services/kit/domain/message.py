"""Value types from which the vocabulary in `services.contracts` is written.

A message is a frozen model. It forbids unknown fields when we write it and ignores them when we read it, so that
a newer producer may add a field (DESIGN section 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
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
    "Money",
    "Personal",
    "PersonalMark",
    "Sku",
    "Value",
    "rounded",
]

T = TypeVar("T")

ERASED = "[erased]"
"""Stands where a personal text must be whose person was erased."""

REQUEST_EXPIRES_AFTER = timedelta(hours=24)
"""How long a request may wait before its receiver answers that it failed instead of doing it late."""

MINOR_DIGITS = {
    "BHD": 3, "CLP": 0, "ISK": 0, "JPY": 0, "JOD": 3, "KRW": 0, "KWD": 3, "OMR": 3, "TND": 3, "UGX": 0, "VND": 0,
}  # fmt: skip
"""Decimals of the currencies that do not have two (ISO 4217)."""


class _SaidShortly:
    """Marks an address: what is wrong with one is told by an example, not by the expression that it does not match."""

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
    _SaidShortly(),
]
"""One plain address (RFC 5322 dot-atom): `a,b@c` would be two, and `<b@c` is `b@c` to a mail server."""
Sku = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[!-$&-~]([ -$&-~]*[!-$&-~])?$")]
"""Printable ASCII without `%`: it becomes a CloudEvents subject, and the Kafka broker mangles anything else."""


@dataclass(frozen=True, slots=True)
class PersonalMark:
    """Marks a field as personal data: encrypted with a key per person (`kit/privacy`) and kept out of logs."""


Personal = Annotated[T, PersonalMark()]


class Value(BaseModel):
    """A frozen value inside a message."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    @classmethod
    def of(cls, source: Value, /, **values: object) -> Self:
        """An instance with `values`, and with the value in `source` of every other field that both classes declare."""
        shared = {name: getattr(source, name) for name in cls.model_fields if name in type(source).model_fields}
        return cls.model_validate({**shared, **values})


class Money(Value):
    """An exact amount in one currency; the number of decimals is kept as given."""

    amount: Decimal = Field(allow_inf_nan=False, max_digits=18, decimal_places=6)
    currency: Currency

    def __add__(self, other: Money) -> Money:
        self._same_currency(other)
        return Money.model_construct(amount=self.amount + other.amount, currency=self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same_currency(other)
        return Money.model_construct(amount=self.amount - other.amount, currency=self.currency)

    def _same_currency(self, other: Money) -> None:
        if self.currency != other.currency:
            raise ValueError(f"cannot combine {self.currency} with {other.currency}")


def rounded(amount: Decimal, currency: str) -> Decimal:
    """The amount, half up, in whole minor units of the currency."""
    return amount.quantize(Decimal(1).scaleb(-MINOR_DIGITS.get(currency, 2)), ROUND_HALF_UP)


class Message(Value):
    """A fact or request that is appended to the log and published as a CloudEvent.

    `type` is its CloudEvents type and never changes once stored. `key` names the field whose value is the subject and
    the partition key. `person_in` names the fields that say, the first that is there, whom its personal data is about.
    `expires_after` is set on requests only.
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
        """Whom its personal data is about; ValueError if nobody is named."""
        for name in type(self).person_in:
            if person := getattr(self, name):
                return str(person)
        raise ValueError(f"{self.type} does not say whom it is about")

    @classmethod
    def read(cls, data: str | bytes) -> Self:
        """The message written in `data`, unknown fields ignored; pydantic.ValidationError if it is none."""
        return cls.model_validate_json(data, extra="ignore")

    @classmethod
    def read_parsed(cls, content: Mapping[str, Any]) -> Self:
        """The same of JSON that was parsed already."""
        return cls.model_validate(content, extra="ignore")

    def write(self) -> str:
        """This message as the JSON that is stored and published."""
        return self.model_dump_json(exclude_none=True)
