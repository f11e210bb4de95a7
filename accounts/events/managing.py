"""What is done to endpoints: made, changed, given a new secret, tested, switched off and on, removed.

By staff at the desk and by calls of the API. Each is a line of history, of no account: addresses and secrets are not
in it.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import httpx
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.core import foreign_input
from accounts.core.clock import rfc3339
from accounts.core.encryption import encrypt
from accounts.core.refusal import Refused
from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.events.dispatch import TEST_TYPE, Dispatch
from accounts.events.endpoint import BOTH_SIGN_FOR, MAX_ADDRESS, MAX_NAME, Endpoint, OffReason
from accounts.events.message import VERSION
from accounts.events.message_type import TYPES
from accounts.outgoing import client
from accounts.outgoing.signing import is_secret, make_secret


class BadEndpoint(Refused):
    """A name, an address, types or a secret that no endpoint can have."""


class AddressInUse(Refused):
    text = _("There is an endpoint with this address: change its types instead, or remove it first.")


class Removed(Refused):
    text = _("This endpoint was removed. Make a new one.")


def make(
    name: str, address: str, types: Sequence[str] = (), *, by: Actor, at: datetime, secret: str = ""
) -> tuple[Endpoint, str]:
    """Make an endpoint. Returns it and its secret, which nobody can read anywhere again.

    It hears what happens from now on. No types: all of them. Raises `BadEndpoint` and `AddressInUse`.
    """
    name, address, known = _name(name), _address(address), _types(types)
    secret = _secret(secret)
    with transaction.atomic():
        _refuse_second(address)
        endpoint = Endpoint.objects.create(
            name=name, address=address, types=known, secret=encrypt(secret), made_at=at, made_by=by.user
        )
        _record(endpoint, AccountEvent.ENDPOINT_MADE, by=by, at=at, types=known)
    return endpoint, secret


def change(
    endpoint: Endpoint,
    *,
    by: Actor,
    at: datetime,
    name: str | None = None,
    address: str | None = None,
    types: Sequence[str] | None = None,
) -> bool:
    """Change what is given. Returns whether anything was. Raises `BadEndpoint`, `AddressInUse`, `Removed`.

    What waits goes to the new address; what was published before is not sent again for a type that is heard only now.
    """
    wanted: dict[str, Any] = {}
    if name is not None:
        wanted["name"] = _name(name)
    if address is not None:
        wanted["address"] = _address(address)
    if types is not None:
        wanted["types"] = _types(types)
    with transaction.atomic():
        locked = _locked(endpoint)
        changed = {field: value for field, value in wanted.items() if getattr(locked, field) != value}
        if not changed:
            return False
        if "address" in changed:
            _refuse_second(changed["address"])
            # Another place may be well.
            changed |= {"failing_since": None, "warned_at": None, "paused_until": None}
        _write(locked, endpoint, **changed)
        names = sorted(changed.keys() & {"name", "address", "types"})
        _record(locked, AccountEvent.ENDPOINT_CHANGED, by=by, at=at, changed=names)
    return True


def rotate(endpoint: Endpoint, *, by: Actor, at: datetime, secret: str = "") -> str:
    """Give it a new secret, and return that. For a day the one before signs, too; an older one no more.

    Raises `BadEndpoint`, `Removed`.
    """
    secret = _secret(secret)
    with transaction.atomic():
        locked = _locked(endpoint)
        _write(
            locked,
            endpoint,
            previous_secret=locked.secret,
            previous_until=at + BOTH_SIGN_FOR,
            secret=encrypt(secret),
        )
        _record(locked, AccountEvent.ENDPOINT_SECRET_CHANGED, by=by, at=at)
    return secret


def switch_off(endpoint: Endpoint, *, by: Actor, at: datetime) -> bool:
    """Send it nothing until it is switched on; what it is to hear is kept for thirty days.

    One that was switched off for failing is left off by somebody's decision from now on. Returns whether anything
    changed.
    """
    with transaction.atomic():
        locked = _locked(endpoint)
        if locked.off_because == OffReason.STAFF:
            return False
        _write(locked, endpoint, off_at=locked.off_at or at, off_because=OffReason.STAFF)
        _record(locked, AccountEvent.ENDPOINT_OFF, by=by, at=at, because=OffReason.STAFF.value)
    return True


def switch_on(endpoint: Endpoint, *, by: Actor, at: datetime) -> bool:
    """Send it what it has missed, in order, and what is to come. Returns whether it was off."""
    with transaction.atomic():
        locked = _locked(endpoint)
        if locked.off_at is None:
            return False
        _write(locked, endpoint, off_at=None, off_because="", failing_since=None, warned_at=None, paused_until=None)
        _record(locked, AccountEvent.ENDPOINT_ON, by=by, at=at)
    return True


def remove(endpoint: Endpoint, *, by: Actor, at: datetime) -> bool:
    """Nothing is sent there any more; what it was sent can be looked up for as long as it is kept."""
    with transaction.atomic():
        locked = Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
        if locked.removed_at is not None:
            return False
        # Nobody needs its secrets any more.
        _write(
            locked,
            endpoint,
            removed_at=at,
            off_at=locked.off_at or at,
            off_because=locked.off_because or OffReason.STAFF,
            secret=b"",
            previous_secret=None,
            previous_until=None,
        )
        _record(locked, AccountEvent.ENDPOINT_REMOVED, by=by, at=at)
    return True


def test(endpoint: Endpoint, *, by: Actor, at: datetime) -> Dispatch:
    """Have a message of the type `endpoint.test` sent once, also to one that is off. The dispatch says how it went."""
    with transaction.atomic():
        locked = _locked(endpoint)
        made = Dispatch.objects.create(endpoint=locked, made_at=at, next_attempt_at=at)
        _record(locked, AccountEvent.ENDPOINT_TESTED, by=by, at=at, dispatch=made.pk)
    return made


def test_body(dispatch: Dispatch) -> bytes:
    """What a test says: the envelope of every message, about no account."""
    said = {
        "type": TEST_TYPE,
        "timestamp": rfc3339(dispatch.made_at),
        "data": {
            "event": None,
            "account": None,
            "sequence": None,
            "recorded_at": rfc3339(dispatch.made_at),
            "external_id": None,
            "version": VERSION,
            "cause": "staff",
            "endpoint": str(dispatch.endpoint_id),
        },
    }
    return json.dumps(said, separators=(",", ":")).encode()


def _locked(endpoint: Endpoint) -> Endpoint:
    found = Endpoint.objects.select_for_update(no_key=True).get(pk=endpoint.pk)
    if found.removed_at is not None:
        raise Removed
    return found


def _write(locked: Endpoint, given: Endpoint, **changes: Any) -> None:
    for name, value in changes.items():
        setattr(locked, name, value)
        setattr(given, name, value)
    locked.save(update_fields=list(changes))


def _record(endpoint: Endpoint, kind: AccountEvent, *, by: Actor, at: datetime, **facts: object) -> None:
    history.record(None, kind, at=at, by=by, endpoint=str(endpoint.pk), **facts)


def _refuse_second(address: str) -> None:
    if Endpoint.objects.standing().filter(address=address).exists():
        raise AddressInUse


def _name(text: str) -> str:
    try:
        name = foreign_input.name(text, limit=MAX_NAME)
    except ValidationError as error:
        raise BadEndpoint(" ".join(error.messages)) from error
    if not name:
        raise BadEndpoint(_("An endpoint needs a name: that of the system which listens there."))
    return name


def _address(text: str) -> str:
    """The address as it is kept: with its host as the network writes it, so that one place is one address."""
    text = text.strip()
    if len(text) > MAX_ADDRESS or not text.isascii() or not text.isprintable() or " " in text:
        raise BadEndpoint(_("That is no address: https://, at most %(most)s plain characters."), most=MAX_ADDRESS)
    try:
        client.check_address(text)
        url = httpx.URL(text)
    except client.AddressRefused as error:
        raise BadEndpoint(_("Nothing can be sent to this address: %(why)s."), why=str(error)) from error
    if url.fragment:
        raise BadEndpoint(_("An address has no part after “#”: nothing of that is ever sent."))
    return str(url)


def _types(types: Sequence[str]) -> list[str]:
    unknown = sorted(name for name in set(types) if name not in TYPES)
    if unknown:
        raise BadEndpoint(_("There is no type “%(name)s”. See docs/events.md for all of them."), name=unknown[0])
    return sorted(set(types))


def _secret(given: str) -> str:
    if not given:
        return make_secret()
    if not is_secret(given):
        raise BadEndpoint(_("A secret is “whsec_” and 24 to 64 random bytes in base64."))
    return given
