"""Whose product an event is about. One bus of a company carries the events of all that it sells at AWS Marketplace.

An event that says so itself, by account, proposer or product, is refused at the door (`marketplace.aws.views.events`)
when it is not ours. What is not told, or not known here, speaks against nothing: then AWS is asked, and nothing is
taken away on the event's word alone (`marketplace.aws.matching`).
"""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts.jobs import invariants
from marketplace.aws.agreement import AwsAgreement
from marketplace.aws.payloads import MANUFACTURER
from marketplace.aws.refusals import AwsRefusal


def is_set_up() -> bool:
    """Whether events need to be, and can be, told from those of other products."""
    told = bool(settings.AWS_SELLER_ACCOUNT_IDS and settings.AWS_PRODUCT_IDS)
    return told or not settings.AWS_EVENTS_TOKEN


def foreign(event: Mapping[str, Any]) -> AwsRefusal | None:
    """Why this event is not about a product of ours; None: nothing that it says speaks against it.

    A channel partner proposes in its own name, and its events come to us as manufacturer (facts/aws-marketplace, 2.3):
    there only the product tells. Where no setting says what is ours, only what contradicts itself is foreign.
    """
    detail = _mapping(event.get("detail"))
    sellers = settings.AWS_SELLER_ACCOUNT_IDS
    if sellers and _differs(event.get("account"), sellers):
        return AwsRefusal.SELLER
    # Of a direct offer the seller is told as its proposer, on a bus of its own account.
    proposer = _mapping(detail.get("proposer")).get("accountId")
    by_us = not str(event.get("detail-type")).endswith(MANUFACTURER)
    if by_us and _differs(proposer, sellers or [str(event.get("account"))]):
        return AwsRefusal.SELLER
    product, agreement = _mapping(detail.get("product")), _mapping(detail.get("agreement"))
    ids, codes = settings.AWS_PRODUCT_IDS, settings.AWS_PRODUCT_CODES
    if ids and (_differs(product.get("id"), ids) or _differs(agreement.get("productId"), ids)):
        return AwsRefusal.PRODUCT
    if codes and _differs(product.get("code"), codes):
        return AwsRefusal.PRODUCT
    return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _differs(told: object, ours: list[str]) -> bool:
    return isinstance(told, str) and bool(told.strip()) and told.strip() not in ours


INVARIANTS = (
    invariants.Invariant(
        "aws-origin",
        _(
            "AWS agreements whose events can't be told from other products': set AWS_SELLER_ACCOUNT_IDS and "
            "AWS_PRODUCT_IDS"
        ),
        lambda at: AwsAgreement.objects.none() if is_set_up() else AwsAgreement.objects.registered(),
        warning=True,
    ),
)
