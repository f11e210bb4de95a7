"""Whether people still authorise us at GitHub: what follows when they take it back, and when they give it again.

A person takes it back in GitHub's settings, and GitHub says so (`github_app_authorization`, `revoked`; GitHub Apps
alone). Anybody who has captured such a message can send it again, so GitHub is asked before a token is forgotten.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.inbox.delivery import Delivery, DeliveryOutcome
from accounts.models import User
from marketplace.github import client
from marketplace.github.customer import GitHubCustomer
from marketplace.github.tokens import UserToken

log = logging.getLogger(__name__)

EVENT = "github_app_authorization"


def heard(delivery: Delivery, message: Mapping[str, Any], at: datetime) -> DeliveryOutcome:
    """A person has taken their authorisation back, GitHub says. In the inbox's transaction."""
    sender = message.get("sender")
    github_user_id = sender.get("id") if isinstance(sender, Mapping) else None
    if delivery.action != "revoked" or not isinstance(github_user_id, int):
        return DeliveryOutcome.UNKNOWN
    tokens = UserToken.objects.alive().filter(github_user_id=github_user_id, obtained_at__lte=delivery.received_at)
    if not tokens.exists():
        return DeliveryOutcome.NO_CHANGE
    if client.has_oauth_credentials():
        tokens.update(revocation_said_at=at)
        return DeliveryOutcome.ASKED
    # Nobody can be asked: the message is all there is.
    for token in tokens:
        _forget(token, at)
    return DeliveryOutcome.APPLIED


def ask_about_revoked(at: datetime) -> int:
    """Ask GitHub about every token that was said to be revoked, and forget those that are. Returns how many were.

    One that can't be asked about now is asked about by the next run.
    """
    forgotten = 0
    for token in UserToken.objects.said_to_be_revoked():
        try:
            dead = client.token_is_dead(token.text(), at=at)
        except client.GitHubLimited:
            break
        except Exception:
            # Whatever is wrong with one token holds up no other.
            log.exception("token %s could not be asked about", token.pk)
            continue
        if dead:
            with transaction.atomic():
                _forget(token, at)
            forgotten += 1
        else:
            UserToken.objects.filter(pk=token.pk).update(revocation_said_at=None)
    return forgotten


def _forget(token: UserToken, at: datetime) -> None:
    """The token is dead: its text goes, and accounts that nobody authorises any more ask for it."""
    token.forget(at)
    customers = GitHubCustomer.objects.active().filter(
        account__memberships__user=token.user_id, authorisation_needed_at=None
    )
    for customer in customers:
        if not UserToken.objects.alive().filter(user__memberships__account=customer.account_id).exists():
            GitHubCustomer.objects.filter(pk=customer.pk).update(authorisation_needed_at=at)


def given_again(user: User) -> None:
    """The person has authorised us: none of their accounts asks for it any more."""
    GitHubCustomer.objects.filter(account__memberships__user=user, authorisation_needed_at__isnull=False).update(
        authorisation_needed_at=None
    )
