"""Stores elsewhere: other systems of the vendor's that hold data of our accounts, and erase it when they are asked.

The operator names them in the setting `REMOTE_STORES`, a product app in its `Extension(remote_stores=…)`. Their
addresses are the operator's own, so calls to them are not filtered. docs/stores-elsewhere.md says what a store has to
answer. No model is needed here: the settings are read with it.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from accounts.core.registry import AlreadyRegistered, Registry
from accounts.outgoing.signing import is_secret

MAX_NAME = 40
MOST_STORES = 20
#: Calls a second, unless the store is said to bear more, or less.
CALLS_A_SECOND = 5.0
#: No store promises longer: Intercom, the slowest that we know of, takes 90 days.
MOST_DAYS = 365
MOST_CALLS_A_SECOND = 1000.0
#: Seconds for a call, unless it is said otherwise: a store answers *accepted* in less.
TIMEOUT = 15.0
MOST_SECONDS = 60.0

_NAME = re.compile(rf"[a-z][a-z0-9-]{{0,{MAX_NAME - 1}}}")
_KNOWN = {"name", "address", "secret", "secrets", "promised_days", "rate", "before_ours", "timeout"}


@dataclass(frozen=True)
class RemoteStore:
    """One store: where it is asked, and what it has promised."""

    name: str
    #: Requests go to it; `/discovery` and `/{request}` hang below it.
    address: str
    #: What requests are signed with, and what it signs its reports with; the new and the old one during a rotation.
    secrets: tuple[str, ...]
    #: Within so many days of being asked it is done.
    promised_days: int
    #: Calls a second, of all our workers together.
    calls_a_second: float = CALLS_A_SECOND
    #: It finds its data by asking us: what is here is erased after it, or when half of the time is over.
    before_ours: bool = False
    #: Seconds for a whole call.
    timeout: float = TIMEOUT

    @property
    def promise(self) -> timedelta:
        return timedelta(days=self.promised_days)


#: Those that product apps declare.
REGISTRY: Registry[RemoteStore] = Registry()


def install(declared: Sequence[RemoteStore]) -> None:
    """List what an app declares. Raises `AlreadyRegistered`, and `ValueError` for one that can't be."""
    for store in declared:
        if faults := list(_faults(store, https=False)):
            raise ValueError(f"the store elsewhere {store.name!r}: {faults[0]}")
        if any(store.name == other.name for other in settings.REMOTE_STORES):
            raise AlreadyRegistered(store.name)
    REGISTRY.add(*declared)


def stores() -> list[RemoteStore]:
    """Every store that is asked: the operator's, then the apps'."""
    return [*settings.REMOTE_STORES, *REGISTRY.all()]


def named(name: str) -> RemoteStore | None:
    """The store of this name; None for one that is configured no more."""
    return next((store for store in stores() if store.name == name), None)


def of_setting(text: str, *, https: bool) -> tuple[list[RemoteStore], list[str]]:
    """The stores that `REMOTE_STORES` lists, and what is wrong with it, a line each that says where.

    `https`: whether plain http is refused, as on every real server: ids of people travel.
    """
    if not text.strip():
        return [], []
    try:
        listed = json.loads(text)
    except ValueError as error:
        return [], [f"REMOTE_STORES is not JSON: {error}."]
    if not isinstance(listed, list) or len(listed) > MOST_STORES:
        return [], [f"REMOTE_STORES must be a JSON list of at most {MOST_STORES} stores."]
    found: list[RemoteStore] = []
    wrong: list[str] = []
    for number, entry in enumerate(listed, start=1):
        store = _of_entry(entry) if isinstance(entry, dict) else "must be an object"
        where = f"REMOTE_STORES, store {number}"
        if isinstance(store, str):
            wrong.append(f"{where}: {store}.")
            continue
        where += f" ({store.name!r})" if _NAME.fullmatch(store.name) else ""
        wrong += [f"{where}: {fault}." for fault in _faults(store, https=https)]
        if any(store.name == other.name for other in found):
            wrong.append(f"{where}: two stores have this name.")
        found.append(store)
    return ([], wrong) if wrong else (found, [])


def _of_entry(entry: Mapping[str, Any]) -> RemoteStore | str:
    """The store of an entry whose values have the right types; else what is wrong."""
    if unknown := sorted(set(entry) - _KNOWN):
        return f"there is no {unknown[0]!r}; it may have {', '.join(sorted(_KNOWN))}"
    if missing := [name for name in ("name", "address", "promised_days") if name not in entry]:
        return f"{missing[0]!r} is missing"
    if ("secret" in entry) == ("secrets" in entry):
        return "it needs 'secret', or 'secrets' during a rotation, and not both"
    secrets = entry["secrets"] if "secrets" in entry else [entry["secret"]]
    if not isinstance(secrets, list) or not all(isinstance(one, str) for one in secrets):
        return "'secrets' must be a list of texts"
    rate = entry.get("rate", CALLS_A_SECOND)
    if not isinstance(entry["name"], str) or not isinstance(entry["address"], str):
        return "'name' and 'address' must be texts"
    if type(entry["promised_days"]) is not int:
        return "'promised_days' must be a whole number"
    if type(rate) not in (int, float):
        return "'rate' must be a number of calls a second"
    if type(timeout := entry.get("timeout", TIMEOUT)) not in (int, float):
        return "'timeout' must be a number of seconds"
    if type(entry.get("before_ours", False)) is not bool:
        return "'before_ours' must be true or false"
    return RemoteStore(
        name=entry["name"],
        address=entry["address"].strip().rstrip("/"),
        secrets=tuple(secrets),
        promised_days=entry["promised_days"],
        calls_a_second=float(rate),
        before_ours=entry.get("before_ours", False),
        timeout=float(timeout),
    )


def _faults(store: RemoteStore, *, https: bool) -> Iterator[str]:
    """What is wrong with a store, without its secrets."""
    if not _NAME.fullmatch(store.name):
        yield f"'name' must be lower-case letters, digits and hyphens, at most {MAX_NAME} of them"
    yield from _faults_of_address(store.address, https=https)
    if not 1 <= len(store.secrets) <= 2:
        yield "it needs one secret, or two during a rotation"
    elif not all(is_secret(secret) for secret in store.secrets):
        yield "a secret must be 'whsec_' and 24 to 64 random bytes in base64"
    if not 1 <= store.promised_days <= MOST_DAYS:
        yield f"'promised_days' must be 1 to {MOST_DAYS}"
    # Written so that it refuses what is no number, too.
    if not 0 < store.calls_a_second <= MOST_CALLS_A_SECOND:
        yield f"'rate' must be more than 0 and at most {MOST_CALLS_A_SECOND:.0f} calls a second"
    if not 0 < store.timeout <= MOST_SECONDS:
        yield f"'timeout' must be more than 0 and at most {MOST_SECONDS:.0f} seconds"


def _faults_of_address(address: str, *, https: bool) -> Iterator[str]:
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018  # raises for what is no number
    except ValueError:
        yield "'address' is no address"
        return
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or not address.isascii()
        or not address.isprintable()
    ):
        yield "'address' must be an http or https address"
    elif "@" in parts.netloc or parts.query or parts.fragment or " " in address:
        yield "'address' must have no user, no query and no fragment: ids are put behind it"
    elif https and parts.scheme == "http":
        yield "'address' must be an https address: ids of people are sent there"
