"""Routes: where a request to support goes when it is not ours alone to answer.

A marketplace that bills an account also pays its refunds. It declares that, and the Support page and the
acknowledgement say so, in the reader's language.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise

from accounts.core.registry import Registry
from accounts.customers.account import Account


@dataclass(frozen=True)
class Route:
    """`code` is what an acknowledgement keeps; `text`, `url` and `link` (its words) are what people read."""

    code: str
    text: str | Promise
    url: str
    link: str | Promise


#: The route of a request of this kind by this account; None: it is ours.
RouteFor = Callable[[Account, str, datetime], Route | None]


@dataclass(frozen=True)
class Router:
    """Says which requests take another way, and all the ways that there can be."""

    name: str
    route_for: RouteFor
    routes: tuple[Route, ...]


ROUTERS: Registry[Router] = Registry()


def route_of(account: Account, kind: str, at: datetime) -> Route | None:
    """The way that a request of this kind takes; None: it is answered here."""
    return next((route for router in ROUTERS.all() if (route := router.route_for(account, kind, at))), None)


def named(code: str) -> Route | None:
    """The route with this code; None if there is none."""
    routes = (route for router in ROUTERS.all() for route in router.routes)
    return next((route for route in routes if route.code == code), None)
