"""Stripe's API: how it is called, and what each kind of answer means (docs.stripe.com/error-handling).

The calls themselves are Stripe's own library's, typed: `stripe_api().ask(lambda v1: …, at=at)`.
What stands here is what every one of them needs: a pinned version, ten seconds, no retry that nobody asked for, no
redirect, a place in the queue (`subscriptions.stripe.gate`), a plain `dict` as its answer, and errors told apart by
what is to be done about them. Every call is made outside of transactions and takes the instant it is made at.

Whatever changes something takes an idempotency key (`options={"idempotency_key": …}`), built of a row of ours alone.
"""

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any, NotRequired

import requests
import stripe
from django.conf import settings
from requests.adapters import HTTPAdapter
from stripe._v1_services import V1Services
from typing_extensions import TypedDict

from accounts.core.errors import storable
from accounts.jobs.due_work import NotYet
from subscriptions.stripe.gate import Gate

#: The shapes that `subscriptions.stripe.payloads` reads, and that the webhook endpoint is set to.
API_VERSION = "2026-05-27.dahlia"
#: Seconds that a call may take.
TIMEOUT = 10.0
#: Calls a second that Stripe allows a key (docs.stripe.com/rate-limits).
LIVE_RATE, SANDBOX_RATE = 100.0, 25.0
#: After a rate limit: Stripe counts by the second.
LIMIT_PAUSE = timedelta(seconds=2)
#: After a lock that another call held: that row alone is tried again so soon.
LOCK_PAUSE = timedelta(seconds=5)
#: A key that Stripe does not take will not be taken a second later.
DENIED_PAUSE = timedelta(minutes=1)
PER_PAGE = 100
#: More pages than any list has: a list that never ends, ends here.
MAX_PAGES = 100_000
#: Connections kept open: as many as threads call at once.
MAX_CONNECTIONS = 32

# Stripe's library would send how long the last call took.
stripe.enable_telemetry = False


class Page(TypedDict, closed=True):
    """The parameters of a list that say which page of it: these and no others, so that any list takes them."""

    limit: int
    starting_after: NotRequired[str]


class StripeError(Exception):
    """A call to Stripe did not give an answer that means anything."""


class StripeNotConfigured(StripeError):
    """There is no key."""


class StripeUnavailable(StripeError):
    """No answer, or none that makes sense: *nobody knows whether it was done*. Read first, then the same key again."""


class StripeLimited(StripeError):
    """Too fast, or another call holds the object: nothing was done. Ask again from `until` on."""

    def __init__(self, until: datetime, why: str) -> None:
        super().__init__(f"{why}: not before {until:%Y-%m-%d %H:%M:%S} UTC")
        self.until = until


class StripeRefused(StripeError):
    """Stripe understood, and says no, now and in an hour. By `code` it may mean that it is done already.

    `message` is Stripe's, for staff. `declined`: it is the card that was refused.
    """

    def __init__(self, *, status: int, code: str, kind: str, message: str, parameter: str = "") -> None:
        super().__init__(f"Stripe refused ({status}, {code or kind}): {message}")
        self.status, self.code, self.kind, self.parameter = status, code, kind, parameter
        self.message = message
        self.declined = kind == "card_error"

    @property
    def is_missing(self) -> bool:
        """There is no such object, or, of a DELETE of a subscription, it has ended already."""
        return self.code == "resource_missing"


class StripeMisused(StripeError):
    """The same idempotency key with other parameters: a fault of ours, which no repetition mends."""


class StripeDenied(StripeError):
    """The key is wrong, was revoked, or lacks a right, which the message names if Stripe does. Never the key itself."""


class StripeApi:
    """Stripe, with one key. Shared by all threads of a process."""

    def __init__(self, key: str, *, url: str, calls_a_second: float) -> None:
        self.key_digest = hashlib.sha256(key.encode()).hexdigest()[:32]
        self.gate = Gate(self.key_digest, calls_a_second=calls_a_second)
        self._client = stripe.StripeClient(
            key,
            base_addresses={"api": url},
            stripe_version=API_VERSION,
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=TIMEOUT, session=_session()),
        )

    def ask(self, call: Callable[[V1Services], stripe.StripeObject], *, at: datetime) -> dict[str, Any]:
        """One call, once it is its turn. Raises one of `StripeError`'s kinds unless the answer means something."""
        if until := self.gate.wait(at):
            raise StripeLimited(until, "Stripe's limit")
        try:
            said = call(self._client.v1)
        except stripe.StripeError as error:
            raise self._classified(error, at) from _without_key(error)
        # The library takes whatever JSON it is given.
        answer = said.to_dict() if isinstance(said, stripe.StripeObject) else {}
        if "object" not in answer:
            raise StripeUnavailable("an answer that is no object of Stripe's")
        return answer

    def every(
        self, call: Callable[[V1Services, Page], stripe.StripeObject], *, at: datetime
    ) -> Iterator[dict[str, Any]]:
        """Every item of a list, all pages. `call` passes on the parameters it is given: `limit`, `starting_after`.

        Raises rather than leave one out: a page that fails is no shorter list.
        """
        page: Page = {"limit": PER_PAGE}
        for _number in range(MAX_PAGES):
            answer = self._page(call, page, at)
            items = answer.get("data")
            if not isinstance(items, list) or not all(isinstance(item, dict) and item.get("id") for item in items):
                raise StripeUnavailable("a list without its items")
            yield from items
            if not answer.get("has_more"):
                return
            if not items or page.get("starting_after") == items[-1]["id"]:
                raise StripeUnavailable("a list that goes on and brings nothing")
            page = {"limit": PER_PAGE, "starting_after": items[-1]["id"]}
        raise StripeUnavailable(f"more than {MAX_PAGES} pages")

    def _page(
        self, call: Callable[[V1Services, Page], stripe.StripeObject], page: Page, at: datetime
    ) -> dict[str, Any]:
        return self.ask(lambda v1: call(v1, page), at=at)

    def _classified(self, error: stripe.StripeError, at: datetime) -> StripeError:
        status = error.http_status or 0
        said = error.json_body.get("error") if isinstance(error.json_body, dict) else None
        said = said if isinstance(said, dict) else {}
        code, kind = str(said.get("code") or ""), str(said.get("type") or "")
        if isinstance(error, stripe.RateLimitError):
            return self._limited(error, code, at)
        if isinstance(error, stripe.AuthenticationError):
            self.gate.deny("Stripe does not take the key", at)
            self.gate.pause(at + DENIED_PAUSE)
            return StripeDenied("Stripe does not take the key: STRIPE_API_KEY is wrong or was revoked")
        if isinstance(error, stripe.PermissionError):
            missing = _missing_right(str(said.get("message") or ""))
            self.gate.deny(missing, at)
            return StripeDenied(missing)
        if isinstance(error, stripe.IdempotencyError):
            return StripeMisused("the same idempotency key was sent with other parameters")
        if isinstance(error, stripe.InvalidRequestError | stripe.CardError) and said:
            return StripeRefused(
                status=status,
                code=code,
                kind=kind,
                message=storable(str(said.get("message") or ""))[:300],
                parameter=str(said.get("param") or "")[:100],
            )
        # Also 409, 5xx, a redirect, a page of HTML, and a 200 that breaks off. The body is in no message: it may say
        # anything.
        return StripeUnavailable(f"no answer of Stripe's ({status or type(error).__name__})")

    def _limited(self, error: stripe.RateLimitError, code: str, at: datetime) -> StripeLimited:
        reason = str((error.headers or {}).get("Stripe-Rate-Limited-Reason") or "")
        if not reason or reason == "resource-specific":
            # Only this object is busy: the others go on.
            return StripeLimited(at + LOCK_PAUSE, code or "the object is busy")
        self.gate.pause(at + LIMIT_PAUSE)
        return StripeLimited(at + LIMIT_PAUSE, reason)


def is_configured() -> bool:
    """Whether Stripe can be asked at all."""
    return bool(settings.STRIPE_API_KEY)


def stripe_api() -> StripeApi:
    """Stripe with the key of the settings. Raises `StripeNotConfigured`."""
    if not is_configured():
        raise StripeNotConfigured("STRIPE_API_KEY is not set.")
    with _making:
        return _api(settings.STRIPE_API_KEY, settings.STRIPE_API_URL, settings.STRIPE_CALLS_A_SECOND)


def not_yet(error: StripeError) -> NotYet:
    """The same for a row of due work: what only waits counts for nothing, whatever else it is lets the row back off."""
    if isinstance(error, StripeLimited):
        return NotYet(str(error), until=error.until, counts=False)
    return NotYet(str(error))


_making = threading.Lock()


@cache
def _api(key: str, url: str, calls_a_second: float) -> StripeApi:
    """One for all calls: its connections stay open."""
    rate = calls_a_second or (LIVE_RATE if "_live_" in key else SANDBOX_RATE)
    return StripeApi(key, url=url, calls_a_second=rate)


class _Session(requests.Session):
    """Follows nobody: a POST that is redirected becomes a GET, whose answer would pass for the POST's."""

    def request(self, *args: Any, **options: Any) -> requests.Response:
        return super().request(*args, **options | {"allow_redirects": False})


def _session() -> requests.Session:
    session = _Session()
    # With one of its own, requests looks for none in the `.netrc` of whoever runs this, which would replace the key.
    session.auth = lambda request: request
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=MAX_CONNECTIONS))
    return session


def _missing_right(message: str) -> str:
    """What the key lacks. Stripe's sentence repeats a part of the key: only the name of the right is taken from it."""
    found = re.search(r"\brak_[a-z_]+", message)
    return f"the key lacks the right {found.group()}" if found else "the key lacks a right for this call"


def _without_key(error: stripe.StripeError) -> Exception | None:
    """The cause to show in a traceback: none where its text may show a part of the key, or of somebody's data."""
    return error if isinstance(error, stripe.APIConnectionError) else None
