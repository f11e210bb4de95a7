"""How Stripe is called: what goes over the wire, and what each kind of answer means. Against a server that recites."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.db import transaction

from subscriptions.stripe import client
from subscriptions.stripe.client import (
    StripeApi,
    StripeDenied,
    StripeError,
    StripeLimited,
    StripeMisused,
    StripeRefused,
    StripeUnavailable,
)
from subscriptions.stripe.gate import INVARIANTS, StripeGate

AT = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
KEY = "rk_test_51Secret"


class Reciting(ThreadingHTTPServer):
    """Answers with what it was given, in order, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[tuple[str, str, dict[str, str], dict[str, list[str]]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def will_say(self, body: object, status: int = 200, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, raw))


class _Handler(BaseHTTPRequestHandler):
    server: Reciting

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        form = parse_qs(body, keep_blank_values=True)
        self.server.asked.append((self.command, self.path, dict(self.headers), form))
        status, headers, raw = self.server.answers.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_POST = do_DELETE = do_GET  # noqa: N815  # the names that http.server calls

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@pytest.fixture
def server() -> Iterator[Reciting]:
    server = Reciting()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def api(db: None, server: Reciting) -> StripeApi:
    return StripeApi(KEY, url=server.url, calls_a_second=1000)


def subscription(api: StripeApi) -> dict[str, Any]:
    return api.ask(lambda v1: v1.subscriptions.retrieve("sub_1"), at=AT)


def refusal(code: str = "", kind: str = "invalid_request_error", message: str = "No.") -> dict[str, Any]:
    return {"error": {"type": kind, "code": code, "message": message, "param": "id"}}


def test_a_call_says_which_version_it_means_and_keeps_to_itself_how_long_the_last_one_took(
    api: StripeApi, server: Reciting
) -> None:
    for _time in range(2):
        server.will_say({"id": "sub_1", "object": "subscription"}, Request_Id="req_1")
        assert subscription(api) == {"id": "sub_1", "object": "subscription"}
    for method, path, headers, _form in server.asked:
        assert (method, path) == ("GET", "/v1/subscriptions/sub_1")
        assert headers["Stripe-Version"] == "2026-05-27.dahlia"
        assert headers["Authorization"] == f"Bearer {KEY}"
        assert "X-Stripe-Client-Telemetry" not in headers


def test_a_date_is_cleared_by_an_empty_value_and_a_change_has_its_key(api: StripeApi, server: Reciting) -> None:
    server.will_say({"id": "sub_1", "object": "subscription"})
    api.ask(lambda v1: v1.subscriptions.update("sub_1", {"cancel_at": ""}, {"idempotency_key": "wish:7:2:keep"}), at=AT)
    ((method, path, headers, form),) = server.asked
    assert (method, path, form) == ("POST", "/v1/subscriptions/sub_1", {"cancel_at": [""]})
    assert headers["Idempotency-Key"] == "wish:7:2:keep"


def test_a_list_is_read_to_its_end(api: StripeApi, server: Reciting) -> None:
    server.will_say({"object": "list", "data": [{"id": "sub_1"}, {"id": "sub_2"}], "has_more": True})
    server.will_say({"object": "list", "data": [{"id": "sub_3"}], "has_more": False})
    found = api.every(lambda v1, page: v1.subscriptions.list({"status": "all", **page}), at=AT)
    assert [item["id"] for item in found] == ["sub_1", "sub_2", "sub_3"]
    assert [path for _method, path, _headers, _form in server.asked] == [
        "/v1/subscriptions?status=all&limit=100",
        "/v1/subscriptions?status=all&limit=100&starting_after=sub_2",
    ]


def test_a_page_that_fails_is_no_shorter_list(api: StripeApi, server: Reciting) -> None:
    server.will_say({"object": "list", "data": [{"id": "sub_1"}], "has_more": True})
    server.will_say({}, 500)
    with pytest.raises(StripeUnavailable):
        list(api.every(lambda v1, page: v1.subscriptions.list({**page}), at=AT))


def test_a_list_that_brings_nothing_new_ends(api: StripeApi, server: Reciting) -> None:
    for _time in range(2):
        server.will_say({"object": "list", "data": [{"id": "sub_1"}], "has_more": True})
    with pytest.raises(StripeUnavailable, match="goes on and brings nothing"):
        list(api.every(lambda v1, page: v1.subscriptions.list({**page}), at=AT))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, refusal(kind="api_error")),
        (503, b"<html>busy</html>"),
        (409, refusal("idempotency_key_in_use")),
        (200, b'{"id": "sub_1", "obj'),
        (200, b"[]"),
        (200, b"{}"),
    ],
)
def test_nobody_knows_what_came_of_it(api: StripeApi, server: Reciting, status: int, body: object) -> None:
    server.will_say(body, status)
    with pytest.raises(StripeUnavailable):
        subscription(api)
    assert len(server.asked) == 1


def test_a_server_that_hangs_up_has_not_said_no(api: StripeApi, server: Reciting) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(StripeUnavailable):
        subscription(api)


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_is_followed_to_nowhere(api: StripeApi, server: Reciting, status: int) -> None:
    server.will_say({"id": "sub_1", "object": "subscription"}, status, Location=f"{server.url}/elsewhere")
    with pytest.raises(StripeUnavailable):
        api.ask(lambda v1: v1.subscriptions.update("sub_1", {"cancel_at_period_end": True}), at=AT)
    assert [path for _method, path, _headers, _form in server.asked] == ["/v1/subscriptions/sub_1"]


def test_a_refusal_says_why(api: StripeApi, server: Reciting) -> None:
    server.will_say(refusal("resource_missing", message="No such subscription: 'sub_1'"), 404)
    with pytest.raises(StripeRefused) as refused:
        subscription(api)
    error = refused.value
    assert (error.status, error.code, error.is_missing, error.declined) == (404, "resource_missing", True, False)
    assert error.message == "No such subscription: 'sub_1'"


def test_a_declined_card_is_the_owners_matter(api: StripeApi, server: Reciting) -> None:
    server.will_say(refusal("card_declined", kind="card_error"), 402)
    with pytest.raises(StripeRefused) as refused:
        subscription(api)
    assert refused.value.declined


def test_one_key_for_two_requests_is_a_fault_of_ours(api: StripeApi, server: Reciting) -> None:
    server.will_say(refusal(kind="idempotency_error"), 400)
    with pytest.raises(StripeMisused):
        subscription(api)


def test_a_rate_limit_stops_every_process_until_it_is_over(api: StripeApi, server: Reciting) -> None:
    server.will_say(refusal("rate_limit"), 429, Stripe_Rate_Limited_Reason="global-rate")
    with pytest.raises(StripeLimited) as limited:
        subscription(api)
    assert limited.value.until == AT + timedelta(seconds=2)
    # The same, and a second process with the same key.
    for process in (api, StripeApi(KEY, url=server.url, calls_a_second=1000)):
        with pytest.raises(StripeLimited):
            subscription(process)
    assert len(server.asked) == 1
    server.will_say({"id": "sub_1", "object": "subscription"})
    api.ask(lambda v1: v1.subscriptions.retrieve("sub_1"), at=AT + timedelta(seconds=2))


def test_a_locked_object_holds_up_nobody_else(api: StripeApi, server: Reciting) -> None:
    server.will_say(refusal("lock_timeout"), 429)
    with pytest.raises(StripeLimited) as limited:
        subscription(api)
    assert limited.value.until == AT + timedelta(seconds=5)
    server.will_say({"id": "sub_1", "object": "subscription"})
    subscription(api)


def test_a_revoked_key_stops_all_calls_and_is_named_nowhere(
    api: StripeApi, server: Reciting, caplog: pytest.LogCaptureFixture
) -> None:
    server.will_say(refusal(message=f"Invalid API Key provided: {KEY}"), 401)
    with pytest.raises(StripeDenied) as denied:
        subscription(api)
    with pytest.raises(StripeLimited):
        subscription(api)
    gate = StripeGate.objects.get()
    assert (gate.denied_at, gate.denied_because) == (AT, "Stripe does not take the key")
    (shown,) = [violation for each in INVARIANTS if (violation := each.check(AT))]
    assert (shown.name, INVARIANTS[0].check(AT + timedelta(hours=1))) == ("stripe-key", None)
    assert "51Secret" not in f"{denied.value}{gate.__dict__}{caplog.text}"
    assert denied.value.__cause__ is None


def test_a_missing_right_is_named_and_other_calls_go_on(api: StripeApi, server: Reciting) -> None:
    message = f"The provided key '{KEY}' lacks permissions. Having the 'rak_subscription_write' permission would allow"
    server.will_say(refusal(message=message), 403)
    with pytest.raises(StripeDenied, match="lacks the right rak_subscription_write"):
        subscription(api)
    server.will_say({"id": "sub_1", "object": "subscription"})
    subscription(api)


@pytest.mark.parametrize(
    ("error", "until", "counts"),
    [
        (StripeLimited(AT, "busy"), AT, False),
        (StripeUnavailable("500"), None, True),
        (StripeDenied("no"), None, True),
    ],
)
def test_a_row_that_only_waits_is_tried_no_less_often(error: StripeError, until: datetime | None, counts: bool) -> None:
    waiting = client.not_yet(error)
    assert (waiting.until, waiting.counts) == (until, counts)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_nobody_holds_a_lock_while_stripe_thinks(server: Reciting) -> None:
    api = StripeApi(KEY, url=server.url, calls_a_second=1000)
    with pytest.raises(RuntimeError), transaction.atomic():
        subscription(api)
    assert server.asked == []


def test_without_a_key_nothing_is_asked(settings: Any) -> None:
    settings.STRIPE_API_KEY = ""
    assert not client.is_configured()
    with pytest.raises(client.StripeNotConfigured):
        client.stripe_api()


def test_a_live_key_may_ask_four_times_as_often(settings: Any) -> None:
    def step(key: str, rate: float = 0.0) -> float:
        settings.STRIPE_API_KEY, settings.STRIPE_CALLS_A_SECOND = key, rate
        return round(1 / client.stripe_api().gate.step, 1)

    assert [step("rk_live_1"), step("rk_test_1"), step("rk_live_2", 10)] == [90.0, 22.5, 9.0]
