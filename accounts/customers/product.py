"""The product being sold, as far as Offboard shows it: its front page, its places in the navigation, its sales team.

A product is a guest (design, idea 16): an app of the vendor's that registers itself like one of ours
(`accounts.extension`). Without one, Offboard runs bare: its front page is Subscription Settings.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Protocol

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from accounts.core.registry import Registry, function_name
from accounts.customers.account import Account

Page = Callable[[HttpRequest], HttpResponse]


@dataclass(frozen=True)
class Entry:
    """A place in the navigation of whoever belongs to an account."""

    label: str | Promise
    #: The name of a page in the URL configuration, or the whole address of one elsewhere.
    page: str

    @property
    def address(self) -> str:
        return self.page if "://" in self.page else reverse(self.page)


class DemoContent(Protocol):
    """Fills an account of the demo with what its customer has made. An account that has some already stays as it is."""

    def __call__(self, account: Account, *, at: datetime, updated_at: datetime) -> None:
        """`at` is the demo's present; `updated_at` the last instant at which the account's plan kept things fresh."""


#: Pages at `/`, each shown to members and asking for one itself; the first product's is the one that is shown.
HOMES: Registry[Page] = Registry(key=str)
#: Modules with `urlpatterns`.
URLS: Registry[str] = Registry(key=str)
NAVIGATION: Registry[Entry] = Registry(key=attrgetter("page"))
DEMO: Registry[DemoContent] = Registry(key=lambda fill: function_name(fill))
#: Who sells contracts, in the middle of a sentence.
SALES_TEAMS: Registry[str | Promise] = Registry(key=str)


def home() -> Page | None:
    """The product's front page; None where there is no product."""
    return next(iter(HOMES.all()), None)


def sales_team() -> str:
    """Who sells contracts, in the reader's language, as it stands in a sentence: “our sales team”."""
    return str(next(iter(SALES_TEAMS.all()), _("our sales team")))
