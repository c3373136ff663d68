"""A server that answers as Stripe does, in the shapes of its API reference, and can be told to fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

KEY = "sk_test_double"

Answer = tuple[int, dict[str, Any], dict[str, str]]


def error(status: int, **members: str) -> Answer:
    return status, {"error": {"message": "no", **members}}, {}


class StripeDouble(ThreadingHTTPServer):
    """Stores PaymentIntents; it first answers with `failures`, and records the requests in `calls`.

    A call whose path ends with one of `lost` is carried out, and its answer is lost.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.intents: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, tuple[dict[str, str], Answer]] = {}
        self.failures: list[Answer | float] = []
        self.lost: list[str] = []
        self.customers = 0
        self.slow_seconds = 0.0
        """How long the answer to an authorization takes; the authorization itself happens at once."""
        self.search_is_behind = False
        self.refund_status = "succeeded"
        self.older_refunds: list[dict[str, Any]] = []
        """Refunds that a charge does not list any more, because it lists the newest only."""
        self.disputes: list[dict[str, Any]] = []
        self.calls: list[tuple[str, str, dict[str, str], str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, path: str, form: dict[str, str], key: str) -> Answer:
        known = self.answers.get(key)
        if key and known:
            if known[0] != form:
                return error(400, type="idempotency_error")
            return known[1]
        answer = self.act(method, path, form)
        if key:
            self.answers[key] = (form, answer)
        return answer

    def act(self, method: str, path: str, form: dict[str, str]) -> Answer:
        match method, path.split("/")[2:]:
            case "POST", ["payment_intents"]:
                return self.create(form)
            case "POST", ["customers"]:
                self.customers += 1
                return 200, {"id": f"cus_{self.customers}", "object": "customer"}, {}
            case "GET", ["payment_intents", "search"]:
                wanted = form["query"].split("'")[3]
                every = [] if self.search_is_behind else self.intents.values()
                found = [each for each in every if each["metadata"].get("order_id") == wanted]
                return 200, {"object": "search_result", "data": found[: int(form["limit"])]}, {}
            case "GET", ["refunds"]:
                intent = self.intents[form["payment_intent"]]
                every = intent["latest_charge"]["refunds"]["data"] + self.older_refunds
                return 200, {"object": "list", "data": every[: int(form["limit"])]}, {}
            case "POST", ["refunds"]:
                return self.refund(form)
            case "GET", ["disputes"]:
                found = [each for each in self.disputes if each["payment_intent"] == form["payment_intent"]]
                return 200, {"object": "list", "data": found}, {}
            case _, ["payment_intents", intent_id, *verb]:
                if intent_id not in self.intents:
                    return error(404, type="invalid_request_error", code="resource_missing")
                return self.move(self.intents[intent_id], verb[0] if verb else "", form)
        return error(404, type="invalid_request_error")

    def create(self, form: dict[str, str]) -> Answer:
        if form["payment_method"] == "pm_card_declined":
            return error(402, type="card_error", code="card_declined", decline_code="insufficient_funds")
        if form["payment_method"] == "pm_card_challenge":
            return error(402, type="card_error", code="authentication_required")
        customer, card = form.get("customer"), form["payment_method"]
        before = [each for each in self.intents.values() if each["payment_method"] == card]
        if form.get("off_session") and any(each["customer"] != customer or not customer for each in before):
            return error(400, type="invalid_request_error", code="payment_method_not_available")
        if form.get("off_session") and card == "pm_card_authenticate":
            return error(402, type="card_error", code="authentication_required")
        intent: dict[str, Any] = {
            "customer": customer,
            "payment_method": card,
            "cancellation_reason": None,
            "id": f"pi_{len(self.intents) + 1}",
            "object": "payment_intent",
            "status": "requires_capture",
            "amount": int(form["amount"]),
            "amount_received": 0,
            "currency": form["currency"],
            "metadata": {
                name: form[f"metadata[{name}]"] for name in ("order_id", "charge_id") if f"metadata[{name}]" in form
            },
            "latest_charge": {"object": "charge", "amount_refunded": 0, "disputed": False, "refunds": {"data": []}},
        }
        if form.get("capture_method") == "automatic":
            intent |= {"status": "succeeded", "amount_received": intent["amount"]}
        self.intents[intent["id"]] = intent
        return 200, intent, {}

    def move(self, intent: dict[str, Any], verb: str, form: dict[str, str]) -> Answer:
        wrong = error(400, type="invalid_request_error", code="payment_intent_unexpected_state")
        match verb, intent["status"]:
            case "", _:
                pass
            case "capture", "requires_capture":
                intent |= {"status": "succeeded", "amount_received": int(form["amount_to_capture"])}
            case "cancel", "requires_capture":
                intent["status"] = "canceled"
            case _:
                return wrong
        return 200, dict(intent), {}

    def refund(self, form: dict[str, str]) -> Answer:
        intent, amount = self.intents[form["payment_intent"]], int(form["amount"])
        charge = intent["latest_charge"]
        if amount > intent["amount_received"] - charge["amount_refunded"]:
            return error(400, type="invalid_request_error", code="charge_already_refunded")
        if charge["disputed"]:
            return error(400, type="invalid_request_error", code="charge_disputed")
        charge["amount_refunded"] += amount
        refunds = charge["refunds"]["data"]
        refund = {
            "id": f"re_{intent['id']}_{len(refunds) + 1}", "object": "refund", "status": self.refund_status,
            "amount": amount, "currency": intent["currency"], "payment_intent": intent["id"],
            "metadata": {"refund_id": form["metadata[refund_id]"]} if "metadata[refund_id]" in form else {},
        }  # fmt: skip
        refunds.append(refund)
        return 200, refund, {}

    def expire(self, intent: dict[str, Any]) -> None:
        """A hold lapses, as card networks let it."""
        intent |= {"status": "canceled", "cancellation_reason": "automatic"}

    def end_refund(self, refund: dict[str, Any], status: str) -> None:
        """A refund arrives or fails; what failed is not refunded any more."""
        refund["status"] = status
        if status == "failed":
            self.intents[refund["payment_intent"]]["latest_charge"]["amount_refunded"] -= refund["amount"]


class Handler(BaseHTTPRequestHandler):
    server: StripeDouble  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self._answer(dict(parse_qsl(urlsplit(self.path).query)))

    def do_POST(self) -> None:
        self._answer(dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode())))

    def _answer(self, form: dict[str, str]) -> None:
        path, key = urlsplit(self.path).path, self.headers.get("Idempotency-Key", "")
        self.server.calls.append((self.command, path, form, key))
        status, body, headers = self._failure() or self.server.answer(self.command, path, form, key)
        if self.server.slow_seconds and path.endswith("/payment_intents"):
            threading.Event().wait(self.server.slow_seconds)
        if path.rpartition("/")[2] in self.server.lost:
            status, body, headers = error(500, type="api_error")
        content = json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            pass  # the caller did not wait

    def _failure(self) -> Answer | None:
        if self.headers["Authorization"] != f"Bearer {KEY}":
            return error(401, type="invalid_request_error")
        if not self.server.failures:
            return None
        failure = self.server.failures.pop(0)
        if isinstance(failure, float | int):
            threading.Event().wait(failure)
            return error(500, type="api_error")
        return failure

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def stripe_double() -> Generator[StripeDouble]:
    server = StripeDouble()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
