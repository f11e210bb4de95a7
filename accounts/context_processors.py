"""What every page shows of a deletion that has been approved, and in whose name it speaks."""

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts.branding import brand as brands
from accounts.core import clock
from accounts.customers import product
from accounts.customers.account import Membership
from accounts.support.deletion import scheduled


def deletion_banner(request: HttpRequest) -> dict[str, object]:
    """`deletion`: the approved deletion of the account in front of the reader, or None. Looked up only where shown."""
    membership: Membership | None = getattr(request, "membership", None)
    if membership is None:
        return {}
    return {"deletion": SimpleLazyObject(lambda: scheduled(membership.account))}


def navigation(request: HttpRequest) -> dict[str, object]:
    """`navigation`: the places of the product (`accounts.customers.product`)."""
    return {"navigation": product.NAVIGATION.all()}


def carried(request: HttpRequest) -> dict[str, object]:
    """`carried_to`: the instant ahead of the clock as of which this page is shown (`accounts.customers.carried`)."""
    return {"carried_to": clock.carried_to(request)}


def brand(request: HttpRequest) -> dict[str, object]:
    """`brand`: the vendor (`accounts.branding.brand`), and `buy_url`, where people subscribe again; maybe nowhere."""
    current = brands.current()
    return {"brand": current, "buy_url": current.buy_url, "can_sign_up": settings.SIGN_UP == "open"}
