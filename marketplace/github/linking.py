"""Linking people to what they, or their organisations, have bought at GitHub.

The only proof is GitHub's answer to the person's own token (`GET /user/marketplace_purchases`); plan and installation
ids in the query of the setup page are hints that anybody can invent, and are not even read.
"""

from datetime import datetime

from django.db import transaction

from accounts.customers import history
from accounts.customers.history import Actor
from accounts.models import Account, Membership, Role
from marketplace.event_kinds import MarketplaceEvent
from marketplace.github import client
from marketplace.github.customer import Customer
from marketplace.github.messages import hold, lock_customer
from marketplace.github.payloads import Purchase, read_subscription
from marketplace.github.tokens import UserToken


def link_purchases(token: UserToken, *, at: datetime) -> list[Account]:
    """Make the person a member of every account whose purchase GitHub shows them. Returns those accounts.

    The first one in becomes the owner, later ones administrators. Asks GitHub; raises `ApiError`, nothing changed.
    """
    found = [read_subscription(item)[0] for item in client.purchases_of_user(token.text(), at=at)]
    return [_link(purchase, token, at) for purchase in found]


@transaction.atomic
def _link(purchase: Purchase, token: UserToken, at: datetime) -> Account:
    customer = lock_customer(purchase.buyer.id)
    if customer is None or (customer.cancelled_at and not customer.may_be_stale(at)):
        # Bought, and the webhook is late or lost: GitHub's own answer is as good.
        customer = hold(purchase, customer, heard=False, at=at)
        customer.ask(at)
        customer.save()
    if customer.authorisation_needed_at:
        Customer.objects.filter(pk=customer.pk).update(authorisation_needed_at=None)
    account = Account.objects.select_for_update(no_key=True).get(pk=customer.account_id)
    has_owner = account.memberships.filter(role=Role.OWNER).exists()
    _membership, new = Membership.objects.get_or_create(
        account=account,
        user=token.user,
        defaults={"role": Role.ADMIN if has_owner else Role.OWNER, "joined_at": at},
    )
    if new:
        by = Actor.member(token.user) if has_owner else Actor.owner(token.user)
        history.record(account.pk, MarketplaceEvent.GITHUB_LINKED, at=at, by=by, person=token.user_id)
    return account
