"""Identity: how staff know that somebody who can't sign in is who they say they are.

Recorded is *which* facts were compared, never the facts themselves: the digits of a card have no place here. The list
is what support of such products asks for before it hands an account over.
"""

from collections.abc import Iterable

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.core.refusal import Refused

#: An address can be written into any mail and a card is seen by every waiter: one fact alone proves nothing.
FACTS_NEEDED = 2


class IdentityFact(models.TextChoices):
    OWNER_EMAIL = "owner_email", _("email address of the owner")
    NEW_OWNER_EMAIL = "new_owner_email", _("email address of the new owner")
    CARD_DIGITS = "card_digits", _("last four digits of the card")
    BILLING_ADDRESS = "billing_address", _("billing address of the card")
    LAST_CHARGE_DATE = "last_charge_date", _("date of the last charge")
    LAST_CHARGE_AMOUNT = "last_charge_amount", _("amount of the last charge")
    # Customers without a card have these instead.
    ORDER_REFERENCE = "order_reference", _("order reference")
    MARKETPLACE_ACCOUNT = "marketplace_account", _("account or agreement at the marketplace")


class NotIdentified(Refused):
    text = _("Compare at least %(needed)d different facts about the customer first, and say which ones.")


def proven(facts: Iterable[str], *, at_least: int = FACTS_NEEDED) -> list[str]:
    """The codes of the facts that were compared, each once, in the order of the list above.

    Raises `NotIdentified` if there are fewer than `at_least` of them, and `ValueError` for one that is not on the list.
    """
    compared = {IdentityFact(fact) for fact in facts}
    if len(compared) < at_least:
        raise NotIdentified(needed=at_least)
    return [fact.value for fact in IdentityFact if fact in compared]
