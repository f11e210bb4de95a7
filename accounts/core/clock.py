"""The clock. Only the edges (views, tasks, commands) read it; everything below takes `at` (design, idea 3)."""

from datetime import UTC, datetime

from django.conf import settings
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime


def now() -> datetime:
    """The present instant, in UTC."""
    return datetime.now(UTC)


def of(request: HttpRequest) -> datetime:
    """The instant of this request, in UTC. Read once: what a page says, does and says that it did is of one instant.

    Where time travel is allowed (`ALLOW_TIME_TRAVEL`) a page that is only read, and an answer of the API, can be asked
    for as of another instant, such as that of a `sweep --at`: by `?at=` and an ISO 8601 instant. Nothing is ever done
    as of it.
    """
    at: datetime | None = getattr(request, "_instant", None)
    if at is None:
        at = _asked_for(request) or now()
        request._instant = at  # type: ignore[attr-defined]  # of this module alone
    return at


def carry(request: HttpRequest, to: datetime) -> None:
    """Show a page as of a later instant, unless it was asked for as of another one (`accounts.customers.carried`)."""
    if request.method in ("GET", "HEAD") and not _asked_for(request) and to > of(request):
        request._instant = request._carried_to = to  # type: ignore[attr-defined]  # of this module alone


def carried_to(request: HttpRequest) -> datetime | None:
    """The later instant as of which this page is shown; None if it is of the present."""
    at: datetime | None = getattr(request, "_carried_to", None)
    return at


def _asked_for(request: HttpRequest) -> datetime | None:
    if not settings.ALLOW_TIME_TRAVEL or request.method not in ("GET", "HEAD"):
        return None
    try:
        # A plus in an address is a space.
        at = parse_datetime(request.GET.get("at", "").replace(" ", "+"))
    except ValueError:
        return None
    return at.astimezone(UTC) if at and at.tzinfo else None


def rfc3339(at: datetime) -> str:
    """As machines are told an instant: in UTC; fractions only where there are any."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
