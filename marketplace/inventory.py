"""What this app holds about customers, and what a purge does with it. Registered by `MarketplaceConfig.ready`."""

import uuid

from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast
from django.utils.translation import gettext_lazy as _

from accounts.inventory import Erased, Kept, Order, Scrubbed, register
from accounts.leavers import Leaver
from marketplace.delivery import Delivery
from marketplace.github.customer import Customer
from marketplace.github.hooks import RepositoryHook
from marketplace.github.tokens import UserToken
from marketplace.offboarding import Step


def deliveries(account_id: uuid.UUID) -> "QuerySet[Delivery]":
    """What a marketplace told us about the account, processed or not, and not emptied yet."""
    known_as = Customer.objects.filter(account_id=account_id).values_list(
        Cast("github_id", CharField(max_length=60)), flat=True
    )
    about = Q(account_id=account_id) | Q(marketplace_account__in=known_as)
    return Delivery.objects.filter(about).filter(Q(body__isnull=False) | ~Q(marketplace_account="", last_error=""))


def step_remarks(account_id: uuid.UUID) -> "QuerySet[Step]":
    """Remarks name repositories and logins."""
    return Step.objects.filter(offboarding__account_id=account_id).exclude(remark="", last_error="")


def hooks(account_id: uuid.UUID) -> "QuerySet[RepositoryHook]":
    return RepositoryHook.objects.filter(account_id=account_id)


def customers(account_id: uuid.UUID) -> "QuerySet[Customer]":
    return Customer.objects.filter(account_id=account_id)


def tokens(account_id: uuid.UUID) -> "QuerySet[UserToken]":
    """Those of the people who belong to no other account."""
    going = Leaver.objects.of(account_id).belonging_to_none()
    return UserToken.objects.filter(user_id__in=going.values("user_id"))


def register_inventory() -> None:
    register(
        Scrubbed(
            "marketplace.Delivery",
            Order.CONTENT,
            deliveries,
            # The id and the digest stay: they tell a message that is sent again, and nothing about a person.
            values={"body": None, "marketplace_account": "", "last_error": "", "alert": ""},
        ),
        Scrubbed("marketplace.Step", Order.CONTENT, step_remarks, values={"remark": "", "last_error": ""}),
        Erased("marketplace.RepositoryHook", Order.CONTENT, hooks),
        Erased("marketplace.Customer", Order.CONTENT, customers),
        Erased("marketplace.UserToken", Order.PERSONAL, tokens),
        Kept("marketplace.ListingPlan", _("The catalogue at GitHub; nothing about a person.")),
        Kept(
            "marketplace.Offboarding",
            _("Shows that the obligation was met: ids and dates only."),
            ground=_("Accountability, GDPR art. 5(2)"),
        ),
        Kept("marketplace.Pause", _("Digests of credentials, for rate limits; they name nobody.")),
    )
