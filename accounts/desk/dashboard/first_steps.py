"""First steps: what a new installation still needs before it serves its first customer, until all of it is there.

Each app declares its own steps (`accounts.extension`). The desk's first page lists them while one that is needed is
missing; what is only advisable is listed beside them. Nothing is ticked off by hand: a step is done when it is so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.branding import mail_settings
from accounts.core.registry import Registry
from accounts.customers.account import Account
from accounts.customers.staff import leads
from accounts.mail.notices import Notice


@dataclass(frozen=True)
class FirstStep:
    """Something to be set up once. `is_done` is cheap: it is asked whenever the first page is looked at."""

    name: str
    #: Where it stands among the others.
    place: int
    title: str | Promise
    #: What to do, in a sentence or two.
    how: str | Promise
    is_done: Callable[[], bool]
    #: Whether nobody can be served without it, here.
    is_needed: Callable[[], bool] = lambda: True
    #: The name of the page where it is done; empty: not at the desk.
    page: str = ""
    page_arguments: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return reverse(self.page, args=self.page_arguments) if self.page else ""


@dataclass(frozen=True)
class Seen:
    step: FirstStep
    is_done: bool
    is_needed: bool


REGISTRY: Registry[FirstStep] = Registry()


def missing() -> list[Seen]:
    """All steps, with what is done; none once everything that is needed is."""
    steps = sorted(REGISTRY.all(), key=lambda step: step.place)
    # As a rule all is there: what is only advisable is not asked for then.
    if all(step.is_done() for step in steps if step.is_needed()):
        return []
    return [Seen(step, step.is_done(), step.is_needed()) for step in steps]


def is_on_real_server() -> bool:
    """Whether customers come here: over https. On http somebody is trying it."""
    return str(urlsplit(settings.SITE_URL).scheme) == "https"


def _has_named_its_brand() -> bool:
    # Without a setting it is called by its address, or as the demo.
    return settings.BRAND_NAME not in (urlsplit(settings.SITE_URL).hostname, "Blueprints")


STEPS = (
    FirstStep(
        "second-lead",
        40,
        _("A second lead"),
        _("Deletions and large refunds take two people. On the server: manage.py staff EMAIL --role lead."),
        lambda: leads()[1:2].exists(),
        is_needed=is_on_real_server,
    ),
    FirstStep(
        "brand",
        50,
        _("Your name on pages and mails"),
        _("Set BRAND_NAME, BRAND_URL, BRAND_COLOUR and SUPPORT_EMAIL, and restart."),
        _has_named_its_brand,
        is_needed=is_on_real_server,
    ),
    FirstStep(
        "mail",
        60,
        _("Mail that arrives"),
        _("Set EMAIL_URL to your mail server. This is done when the first mail has gone out by it."),
        lambda: mail_settings.reaches_people() and Notice.objects.filter(sent_at__isnull=False).exists(),
        is_needed=is_on_real_server,
    ),
    FirstStep(
        "account",
        30,
        _("A first account"),
        _("Open one here, by manage.py account, by the API, or import those that you have."),
        lambda: Account.objects.exists(),
        page="admin:act",
        page_arguments=("open_account", "new"),
    ),
)
