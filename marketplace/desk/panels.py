"""What this app shows of an account at the support desk: who it is at a marketplace, and how its offboarding stands.

And what it adds to the desk's other parts: logins and purchases to find accounts by.
"""

import re
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.desk.account_page import search
from accounts.desk.account_page.panels import Panel, Subject
from marketplace.aws.agreement import AwsAgreement
from marketplace.github.customer import GitHubCustomer
from marketplace.github.repository_hooks import RepositoryHook
from marketplace.github.tokens import UserToken
from marketplace.offboarding.offboarding import Offboarding

#: Hooks on the page; the list in the admin has the rest.
MOST = 20
#: `login`, `@login`, `https://github.com/login`, `https://github.com/orgs/login/…`.
_LOGIN = re.compile(
    r"(?:https?://)?(?:www\.)?(?:github\.com/(?:orgs/)?|@)?([A-Za-z0-9][A-Za-z0-9-]{0,99})(?:/.*)?", re.ASCII
)
_AWS_ACCOUNT = re.compile(r"[0-9]{12}")


def github(subject: Subject, at: datetime) -> dict[str, Any] | None:
    """Who the customer is at GitHub, and what we hold there for it: hooks and tokens, never the tokens themselves."""
    customer = (
        GitHubCustomer.objects.filter(account_id=subject.account_id)
        .select_related("listing_plan", "pending_plan")
        .first()
    )
    if customer is None:
        return None
    hooks = RepositoryHook.objects.filter(account_id=subject.account_id)
    return {
        "customer": customer,
        "hooks": hooks.order_by("deleted_at", "pk")[:MOST],
        "remaining": hooks.remaining().count(),
        "tokens": UserToken.objects.alive().filter(user__memberships__account_id=subject.account_id).count(),
        "web_url": settings.GITHUB_WEB_URL,
    }


def aws(subject: Subject, at: datetime) -> dict[str, Any] | None:
    """What the account has bought at AWS, the newest purchase first."""
    found = AwsAgreement.objects.filter(account_id=subject.account_id).select_related("dimension", "dimension__plan")
    rows = list(found.order_by("-first_heard_at")[:MOST])
    return {"agreements": rows} if rows else None


def offboardings(subject: Subject, at: datetime) -> dict[str, Any] | None:
    """Each offboarding with its steps, the newest first."""
    found = list(Offboarding.objects.of(subject.account_id).order_by("-received_at").prefetch_related("steps"))
    for offboarding in found:
        for step in offboarding.steps.all():
            # What was fetched already, so that a step does not fetch it again.
            step.offboarding = offboarding
    return {"offboardings": found, "at": at} if found else None


def by_github(text: str) -> Iterable[uuid.UUID]:
    """Customers by the beginning of their login, or by GitHub's number."""
    if way := customer(text):
        yield from (
            GitHubCustomer.objects.filter(way).order_by("login").values_list("account_id", flat=True)[: search.MOST]
        )


def by_aws(text: str) -> Iterable[uuid.UUID]:
    """By an agreement or a licence, present or former, an AWS account, or a customer identifier."""
    found = AwsAgreement.objects.registered().filter(purchase(text))
    return [account_id for account_id in found.values_list("account_id", flat=True)[: search.MOST] if account_id]


def customer(text: str) -> Q | None:
    """GitHub customers by the beginning of their login (`@login`, or its address at GitHub) or by GitHub's number."""
    login = _LOGIN.fullmatch(text)
    if login is None:
        return None
    found = search.some(GitHubCustomer.objects.filter(login__lower__startswith=login[1].lower()))
    is_number = login[1].isdecimal() and int(login[1]) < 2**63
    return Q(pk__in=found) | Q(github_id=int(login[1])) if is_number else Q(pk__in=found)


def purchase(text: str) -> Q:
    """Purchases at AWS by an agreement or a licence, present or former, an AWS account, or a customer identifier."""
    word = text.rsplit(":", 1)[-1].strip()
    return (
        Q(agreement_id=word)
        | Q(licence_id=word)
        | Q(aws_account_id=aws_account(text) or word)
        | Q(customer_identifier=word)
        | Q(former_ids__contains=[word])
    )


def aws_account(text: str) -> str:
    """The twelve digits of an AWS account, also as AWS's console shows them: 1234-5678-9012. Empty for what is none."""
    digits = re.sub(r"[\s-]", "", text)
    return digits if _AWS_ACCOUNT.fullmatch(digits) else ""


PANELS = (
    Panel(_("GitHub Marketplace"), "marketplace/desk/github.html", github, place=15),
    Panel(_("AWS Marketplace"), "marketplace/desk/aws.html", aws, place=16),
    Panel(_("Offboarding"), "marketplace/desk/offboarding.html", offboardings, place=50, is_wide=True),
)

FINDERS = (
    by_github,
    by_aws,
)
