"""Endpoints: made, changed, rotated, tested, switched, replayed; at the desk, by API and by command alike."""

import base64
import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from standardwebhooks import Webhook

from accounts.core import clock
from accounts.core.encryption import decrypt
from accounts.events import managing, replaying
from accounts.events.dispatch import Dispatch
from accounts.events.endpoint import Endpoint
from accounts.events.managing import AddressInUse, BadEndpoint, Removed
from accounts.events.message import EventMessage
from accounts.events.sending import send_due
from accounts.models import Account, Event, StaffAction, User
from accounts.outgoing.signing import make_secret
from tests.accounts.api.calling import Caller, problem
from tests.accounts.events.hearing import SYSTEM, hears, tell
from tests.factories import NOW
from tests.fakes.receiver import Receiver, Reply, receiver

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ADDRESS = "https://product.example/hook"


@pytest.fixture(autouse=True)
def inside(settings: Any) -> None:
    settings.OUTGOING_ALLOWED_NETWORKS = ["127.0.0.0/8"]


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def call(db: None) -> Caller:
    return Caller()


def test_a_secret_is_told_once_and_kept_encrypted() -> None:
    endpoint, secret = hears(ADDRESS)
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert secret.encode() not in bytes(endpoint.secret)
    assert decrypt(Endpoint.objects.get().secret) == secret
    assert secret not in json.dumps(list(Event.objects.values("kind", "facts")))


@pytest.mark.parametrize(
    "address",
    [
        "",
        "product.example",
        "ftp://product.example/",
        "https://",
        "https://user:pass@product.example/",
        "https://product.example/#part",
        "https://product.example/a b",
        "https://product.example/\nx",
        "https://pröduct.example/",
        "https://product.example/" + "x" * 500,
        "https://10.0.0.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data/",
        "http://8.8.8.8/",
        "javascript:alert(1)",
    ],
)
def test_an_address_that_could_never_be_called_is_refused_as_it_is_typed(address: str) -> None:
    with pytest.raises(BadEndpoint):
        hears(address)
    assert not Endpoint.objects.exists()


def test_plain_http_by_name_needs_an_opened_network(settings: Any) -> None:
    hears("http://product.internal/hook")
    settings.OUTGOING_ALLOWED_NETWORKS = []
    with pytest.raises(BadEndpoint, match="plain http is for networks in OUTGOING_ALLOWED_NETWORKS alone"):
        hears("http://other.internal/hook")


def test_two_endpoints_with_one_address_are_one_too_many() -> None:
    endpoint, _secret = hears(ADDRESS)
    for same in (ADDRESS, "https://PRODUCT.example:443/hook", f" {ADDRESS} "):
        with pytest.raises(AddressInUse):
            hears(same)
    other, _secret = hears(ADDRESS + "?tenant=2")
    with pytest.raises(AddressInUse):
        managing.change(other, address=ADDRESS, by=SYSTEM, at=NOW)
    managing.remove(endpoint, by=SYSTEM, at=NOW)
    hears(ADDRESS)


@pytest.mark.parametrize("secret", ["whsec_" + base64.b64encode(b"k" * size).decode() for size in (1, 23, 65)] + ["x"])
def test_a_secret_that_is_too_short_or_too_long_is_refused(secret: str) -> None:
    with pytest.raises(BadEndpoint):
        hears(ADDRESS, secret=secret)
    endpoint, _secret = hears(ADDRESS)
    with pytest.raises(BadEndpoint):
        managing.rotate(endpoint, secret=secret, by=SYSTEM, at=NOW)


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(BadEndpoint, match=r"There is no type “subscription\.renewed”"):
        hears(ADDRESS, ["account.erased", "subscription.renewed"])


def test_for_a_day_after_a_rotation_both_secrets_sign_then_the_new_one_alone(
    account: Account, there: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = clock.now()
    endpoint, old = hears(there.url, at=at - 2 * DAY)
    new = managing.rotate(endpoint, by=SYSTEM, at=at)
    tell(account.pk, at=at)
    assert send_due(at) == 1
    # Rotated for more than a day.
    Endpoint.objects.update(previous_until=at - HOUR)
    tell(account.pk, at=at)
    assert send_due(at) == 1
    first, second = there.calls
    for secret in (old, new):
        Webhook(secret).verify(first.body, dict(first.headers))
    assert len(first.headers["webhook-signature"].split()) == 2
    Webhook(new).verify(second.body, dict(second.headers))
    assert len(second.headers["webhook-signature"].split()) == 1


def test_a_changed_address_gets_what_waits_and_is_taken_for_well(account: Account, there: Receiver) -> None:
    endpoint, _secret = hears("http://127.0.0.1:1/hook")
    tell(account.pk)
    assert send_due(NOW) == 0
    assert managing.change(endpoint, address=there.url, by=SYSTEM, at=NOW)
    assert not managing.change(endpoint, address=there.url, by=SYSTEM, at=NOW)
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None
    assert send_due(NOW + timedelta(seconds=6)) == 1
    assert Event.objects.get(kind="endpoint.changed").facts == {"endpoint": str(endpoint.pk), "changed": ["address"]}


def test_a_test_goes_out_once_signed_also_to_one_that_is_off(there: Receiver) -> None:
    endpoint, secret = hears(there.url)
    managing.switch_off(endpoint, by=SYSTEM, at=NOW)
    first = managing.test(endpoint, by=SYSTEM, at=NOW)
    there.reply(Reply(500, b"not yet"))
    send_due(NOW)
    first.refresh_from_db()
    assert (first.status, first.answer, first.given_up_at, first.attempts) == (500, "not yet", NOW, 1)
    second = managing.test(endpoint, by=SYSTEM, at=NOW)
    assert send_due(NOW + DAY) == 1
    second.refresh_from_db()
    assert second.delivered_at == NOW + DAY
    assert len(there.calls) == 2
    said = Webhook(secret).verify(there.calls[1].body, dict(there.calls[1].headers))
    assert (said["type"], said["data"]["endpoint"], said["data"]["account"]) == (
        "endpoint.test",
        str(endpoint.pk),
        None,
    )
    # It says nothing about the endpoint, and is nothing that can be sent again.
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None
    with pytest.raises(replaying.NothingToReplay):
        replaying.replay(second, by=SYSTEM, at=NOW)
    assert not Dispatch.objects.undelivered().exists()


# Replays


def test_one_message_is_sent_again_under_its_id_and_not_while_it_waits(account: Account, there: Receiver) -> None:
    hears(there.url)
    tell(account.pk)
    waiting = Dispatch.objects.get()
    assert not replaying.replay(waiting, by=SYSTEM, at=NOW)
    send_due(NOW)
    waiting.refresh_from_db()
    assert replaying.replay(waiting, by=SYSTEM, at=NOW + HOUR)
    assert not replaying.replay(waiting, by=SYSTEM, at=NOW + HOUR)
    assert send_due(NOW + HOUR) == 1
    assert len(set(there.ids)) == 1
    assert there.calls[0].body == there.calls[1].body
    assert list(Dispatch.objects.values_list("is_replay", flat=True).order_by("pk")) == [False, True]


def test_a_range_is_sent_again_in_order_and_before_what_comes_later(account: Account, there: Receiver) -> None:
    endpoint, _secret = hears(there.url)
    for _one in range(4):
        tell(account.pk)
    send_due(NOW)
    there.calls.clear()
    messages = list(EventMessage.objects.order_by("position"))
    made = replaying.replay_range(
        endpoint, since=messages[1].recorded_at, until=messages[3].recorded_at, by=SYSTEM, at=NOW + HOUR
    )
    assert made == 2
    tell(account.pk, at=NOW + HOUR)
    assert send_due(NOW + HOUR) == 3
    assert [json.loads(call.body)["data"]["sequence"] for call in there.calls] == [2, 3, 5]
    assert Event.objects.get(kind="messages.replayed").facts["messages"] == 2


def test_only_what_was_not_got_is_sent_again_if_so_wished(account: Account, there: Receiver) -> None:
    endpoint, _secret = hears(there.url)
    there.reply(500)
    tell(account.pk)
    send_due(NOW)
    Dispatch.objects.update(given_up_at=NOW)
    tell(uuid.uuid4())
    send_due(NOW)
    stretch: dict[str, Any] = {"since": clock.now() - DAY, "until": clock.now() + DAY}
    assert replaying.replay_range(endpoint, **stretch, undelivered=True, by=SYSTEM, at=NOW) == 1
    assert send_due(NOW) == 1
    assert replaying.replay_range(endpoint, **stretch, undelivered=True, by=SYSTEM, at=NOW) == 0
    assert not Dispatch.objects.undelivered().exists()


def test_a_new_endpoint_can_be_sent_what_was_before_it(account: Account, there: Receiver) -> None:
    for name in ("account.erasing", "account.erased"):
        tell(account.pk, name=name)
    later = clock.now() + HOUR
    endpoint, _secret = hears(there.url, ["account.erased"], at=later)
    stretch: dict[str, Any] = {"since": later - DAY, "until": later}
    assert replaying.replay_range(endpoint, **stretch, by=SYSTEM, at=later) == 1
    assert send_due(later) == 1
    with pytest.raises(replaying.BackwardRange):
        replaying.replay_range(endpoint, since=later, until=later, by=SYSTEM, at=later)


def test_nothing_is_done_to_one_that_was_removed() -> None:
    endpoint, _secret = hears(ADDRESS)
    assert managing.remove(endpoint, by=SYSTEM, at=NOW)
    assert not managing.remove(endpoint, by=SYSTEM, at=NOW)
    for refused in (managing.switch_on, managing.switch_off, managing.test, managing.rotate):
        with pytest.raises(Removed):
            refused(endpoint, by=SYSTEM, at=NOW)


# The command


def test_the_command_lists_endpoints_and_replays(account: Account, there: Receiver) -> None:
    hears(there.url, at=clock.now())
    tell(account.pk, at=clock.now())
    send_due(clock.now())
    out = StringIO()
    call_command("events", stdout=out)
    call_command("events", "--replay", "Product", "--all", "--dry-run", stdout=out)
    call_command("events", "--replay", "Product", stdout=out)
    call_command("events", "--replay", "Product", "--all", stdout=out)
    lines = out.getvalue().splitlines()
    assert lines[0].endswith("  Product  on, 0 waiting")
    assert lines[1:] == [
        "1 messages; what waits anyway is not sent twice.",
        "0 messages are sent again to Product.",
        "1 messages are sent again to Product.",
    ]
    with pytest.raises(CommandError, match="There is no such endpoint"):
        call_command("events", "--replay", "Nobody")
    with pytest.raises(CommandError, match="The end has to come after the beginning"):
        call_command("events", "--replay", "Product", "--since", "2030-01-01")


# The API


def test_a_system_of_the_vendors_makes_and_changes_endpoints(call: Caller, there: Receiver) -> None:
    made = call.post("endpoints/", {"name": "Product", "address": there.url, "types": ["account.erased"]})
    assert made.status_code == 201, made.content
    told = made.json()
    key = told["endpoint"]["id"]
    assert told["secret"].startswith("whsec_")
    assert told["endpoint"]["on"] is True
    assert Event.objects.get(kind="endpoint.made").actor_kind == "api"
    assert call.get(f"endpoints/{key}/").json() == told["endpoint"]
    assert call.get("endpoints/").json()["items"] == [told["endpoint"]]
    changed = call.patch(f"endpoints/{key}/", {"types": [], "on": False}).json()
    assert (changed["types"], changed["on"], changed["off_because"]) == ([], False, "staff")
    rotated = call.post(f"endpoints/{key}/secret/", {}).json()
    assert rotated["secret"] not in (None, told["secret"])
    assert rotated["endpoint"]["both_secrets_until"]
    tested = call.post(f"endpoints/{key}/test/")
    assert (tested.status_code, tested.json()["type"], tested.json()["state"]) == (202, "endpoint.test", "waiting")
    send_due(clock.now())
    (dispatch,) = call.get(f"endpoints/{key}/dispatches/").json()["items"]
    assert (dispatch["state"], dispatch["status"]) == ("delivered", 200)
    assert call.delete(f"endpoints/{key}/").status_code == 204
    assert call.delete(f"endpoints/{key}/").status_code == 204
    assert problem(call.get(f"endpoints/{key}/")) == (404, "not_found")
    assert call.get("endpoints/").json()["items"] == []


def test_a_repeated_call_makes_no_second_one_and_tells_the_secret_no_second_time(call: Caller) -> None:
    body = {"name": "Product", "address": ADDRESS}
    first = call.post("endpoints/", body, Idempotency_Key="one")
    again = call.post("endpoints/", body, Idempotency_Key="one")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again["Idempotent-Replayed"] == "true"
    assert again.json() == {"endpoint": first.json()["endpoint"], "secret": None}
    assert problem(call.post("endpoints/", body)) == (409, "endpoint_address_taken")


@pytest.mark.parametrize(
    "wrong",
    [{"address": "https://10.0.0.1/"}, {"types": ["nothing"]}, {"secret": "whsec_c2hvcnQ="}, {"name": "\x07"}],
)
def test_what_no_endpoint_can_be_is_refused(call: Caller, wrong: dict[str, Any]) -> None:
    assert problem(call.post("endpoints/", {"name": "Product", "address": ADDRESS, **wrong})) == (422, "bad_endpoint")
    assert not Endpoint.objects.exists()


def test_messages_are_replayed_by_api(call: Caller, account: Account, there: Receiver) -> None:
    endpoint, _secret = hears(there.url, at=clock.now())
    tell(account.pk, at=clock.now())
    send_due(clock.now())
    dispatch = Dispatch.objects.get()
    root = f"endpoints/{endpoint.pk}/"
    assert call.post(f"{root}dispatches/{dispatch.pk}/replay/").json() == {"messages": 1}
    assert call.post(f"{root}dispatches/{dispatch.pk}/replay/").json() == {"messages": 0}
    assert send_due(clock.now()) == 1
    stretch = {"since": "2026-01-01T00:00:00Z", "until": "2099-01-01T00:00:00Z"}
    assert call.post(f"{root}replay/", stretch).json() == {"messages": 0}
    assert call.post(f"{root}replay/", {**stretch, "undelivered": False}).json() == {"messages": 1}
    assert problem(call.post(f"{root}replay/", {**stretch, "until": "2025-01-01T00:00:00Z"})) == (422, "bad_range")
    assert problem(call.post(f"{root}dispatches/{2**70}/replay/")) == (404, "not_found")
    assert [row["state"] for row in call.get(f"{root}dispatches/", cursor="").json()["items"]] == [
        "delivered",
        "delivered",
        "waiting",
    ]


def test_reading_and_writing_have_scopes_of_their_own() -> None:
    reader, writer = Caller("endpoints:read", name="r"), Caller("endpoints:write", name="w")
    body = {"name": "Product", "address": ADDRESS}
    assert problem(reader.post("endpoints/", body)) == (403, "missing_scope")
    assert writer.post("endpoints/", body).status_code == 201
    assert problem(writer.get("endpoints/")) == (403, "missing_scope")
    assert len(reader.get("endpoints/").json()["items"]) == 1


# The desk


def test_a_lead_makes_one_at_the_desk_with_the_secret_of_the_form(sign_in: Any, lead: User, there: Receiver) -> None:
    client: Client = sign_in(lead)
    page = client.get("/admin/act/make_endpoint/new/")
    secret = page.context["form"]["secret"].initial
    assert secret in page.content.decode()
    filled = {"name": "Product", "address": there.url, "secret": secret, "types": [], "reason": "Launch"}
    rehearsed = client.post("/admin/act/make_endpoint/new/", filled)
    assert "Endpoint made" in rehearsed.content.decode()
    assert not Endpoint.objects.exists()
    done = client.post("/admin/act/make_endpoint/new/", {**filled, "confirmed": "yes"})
    assert done.status_code == 302
    endpoint = Endpoint.objects.get()
    assert decrypt(endpoint.secret) == secret
    assert secret not in client.get(f"/admin/accounts/endpoint/{endpoint.pk}/change/").content.decode()
    assert (StaffAction.objects.get().reason, endpoint.made_by) == ("Launch", lead)


def test_the_endpoints_page_shows_answers_as_text(sign_in: Any, lead: User, account: Account, there: Receiver) -> None:
    endpoint, _secret = hears(there.url, at=clock.now())
    tell(account.pk, at=clock.now())
    there.reply(Reply(500, b"<script>alert(1)</script>"))
    send_due(clock.now())
    client: Client = sign_in(lead)
    page = client.get(f"/admin/accounts/endpoint/{endpoint.pk}/change/").content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert(1)" not in page
    assert "answered 500" in page
    assert "Send a test" in page
    listed = client.get(f"/admin/accounts/dispatch/?endpoint__id__exact={endpoint.pk}").content.decode()
    assert "&lt;script&gt;alert(1)" in listed
    dispatch = Dispatch.objects.get()
    assert client.get(f"/admin/accounts/dispatch/{dispatch.pk}/change/").status_code == 200


def test_a_secret_of_ones_own_can_be_pasted(there: Receiver) -> None:
    own = make_secret()
    endpoint, told = hears(there.url, secret=own)
    assert (told, decrypt(endpoint.secret)) == (own, own)
