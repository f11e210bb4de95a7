"""What every page shows of a deletion that has been approved, and where people buy."""

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.customers.account import Membership
from accounts.support.deletion import scheduled


def deletion_banner(request: HttpRequest) -> dict[str, object]:
    """`deletion`: the approved deletion of the account in front of the reader, or None. Looked up only where shown."""
    membership: Membership | None = getattr(request, "membership", None)
    if membership is None:
        return {}
    return {"deletion": SimpleLazyObject(lambda: scheduled(membership.account))}


def buying(request: HttpRequest) -> dict[str, object]:
    """`buy_url`: where people subscribe again (`BUY_URL`); empty where the vendor has said nowhere."""
    return {"buy_url": settings.BUY_URL}
