"""Which purchase a message, a registration or an answer of AWS is about.

An agreement or a licence names one purchase. Without them a purchase is found by its buyer and product, and only if
nothing speaks against it and there is no other: two purchases by one AWS account must never become one.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from accounts.core import locks
from accounts.core.locks import Lock
from accounts.models import Account
from marketplace.aws.agreement import AwsAgreement
from marketplace.aws.vocabulary import Names

#: We may hear of a purchase so much before its acceptance, as clocks differ.
CLOCKS_DIFFER = timedelta(minutes=10)


def lock(
    names: Names | None = None, *, ids: Iterable[str] = (), pk: int | None = None, account_id: uuid.UUID | None = None
) -> None:
    """Have all of AWS for ourselves until the transaction ends, then the accounts of whatever purchases are meant.

    One lock for all: the names of a purchase come separately, so nobody knows beforehand which rows a message is
    about. No calls to elsewhere are made under it, and AWS sells by the hour, not by the millisecond. Accounts come
    before purchases, as everywhere (`accounts.core.locks`): those of every purchase with one of these names or `ids`,
    or this `pk`, and of all that their buyers have; `account_id`: and of this one.
    """
    locks.take(Lock.AWS)
    known = [known for known in ((names.agreement_id, names.licence_id) if names else ()) if known]
    known = [*known, *(each for each in ids if each)]
    meant = Q(pk=pk) | Q(agreement_id__in=known) | Q(licence_id__in=known) | Q(former_ids__overlap=known)
    if names and names.aws_account_id:
        meant |= Q(aws_account_id=names.aws_account_id)
    if names and names.customer_identifier:
        meant |= Q(customer_identifier=names.customer_identifier)
    buyers = list(AwsAgreement.objects.filter(meant).values_list("aws_account_id", "customer_identifier"))
    accounts = {account for account, _customer in buyers if account}
    customers = {customer for _account, customer in buyers if customer}
    theirs = meant | Q(aws_account_id__in=accounts) | Q(customer_identifier__in=customers)
    ours = Q(pk__in=AwsAgreement.objects.filter(theirs, account__isnull=False).values("account_id")) | Q(pk=account_id)
    # In one order, whoever locks several.
    list(Account.objects.filter(ours).order_by("pk").select_for_update(no_key=True).values_list("pk"))


@dataclass(frozen=True)
class Found:
    """The one purchase that is meant, or several that may be; `is_old`: it was meant by an id that it no longer has.

    `is_guess`: an agreement or a licence was named that we don't know, and nothing says that it is of our product.
    """

    one: AwsAgreement | None = None
    several: tuple[AwsAgreement, ...] = ()
    is_old: bool = False
    is_guess: bool = False


def find(names: Names, *, accepted_at: datetime | None = None) -> Found:
    """The purchase that these names mean. The caller holds `lock`. `accepted_at`: when it was bought, if known."""
    # One of our products is what the message itself says, never what we take it to be.
    is_guess = bool((names.agreement_id or names.licence_id) and not is_told(names))
    names = complete(names)
    if found := _by_id(names):
        return found
    candidates = [row for row in of_buyer(names) if _fits(row, names, accepted_at)]
    if len(candidates) > 1:
        candidates = [row for row in candidates if not row.is_over] or candidates
    if len(candidates) == 1:
        return Found(candidates[0], is_guess=is_guess)
    return Found(several=tuple(candidates), is_guess=is_guess)


def of_buyer(names: Names) -> list[AwsAgreement]:
    """All purchases of this product by this buyer that we know of, the elder first."""
    buyer = Q()
    if names.aws_account_id:
        buyer |= Q(aws_account_id=names.aws_account_id)
    if names.customer_identifier:
        buyer |= Q(customer_identifier=names.customer_identifier)
    if not buyer:
        return []
    rows = AwsAgreement.objects.filter(buyer, account__purging_at=None).locked().order_by("first_heard_at", "pk")
    return [row for row in rows if _same_buyer(row, names) and _same_product(row, names)]


def bought_again(names: Names, accepted_at: datetime) -> AwsAgreement | None:
    """The purchase that its buyer had here and had ended when this one was accepted: it goes on with everything.

    None if there is no such purchase, or more than one: then the buyer's registration decides.
    """
    rows = [row for row in of_buyer(complete(names)) if row.account_id and _had_ended(row, accepted_at)]
    return rows[0] if len(rows) == 1 else None


def continuation_of(row: AwsAgreement, ended_at: datetime) -> AwsAgreement | None:
    """What the same buyer bought after this purchase had ended, and has not registered: the same customer goes on."""
    names = Names(
        aws_account_id=row.aws_account_id,
        customer_identifier=row.customer_identifier,
        product_code=row.product_code,
        product_id=row.product_id,
    )
    others = [other for other in of_buyer(names) if other.pk != row.pk and other.account_id is None and other.runs]
    # Without a date of acceptance nothing says that it did not run beside.
    others = [other for other in others if other.accepted_at and other.accepted_at >= ended_at]
    return others[0] if len(others) == 1 else None


def is_foreign(names: Names) -> bool:
    """Whether the names themselves say that they are of a product that is not ours."""
    other_code = names.product_code and names.product_code not in settings.AWS_PRODUCT_CODES
    other_id = names.product_id and settings.AWS_PRODUCT_IDS and names.product_id not in settings.AWS_PRODUCT_IDS
    return bool(other_code or other_id)


def is_told(names: Names) -> bool:
    """Whether the names themselves say that they are of a product of ours."""
    if names.product_code:
        return names.product_code in settings.AWS_PRODUCT_CODES
    return bool(names.product_id) and (names.product_id in settings.AWS_PRODUCT_IDS or bool(_code_of(names.product_id)))


def complete(names: Names) -> Names:
    """The same names with the product's code, where another purchase or our settings tell it.

    A product that is named and not known has none: it may be another one of the same seller's.
    """
    if names.product_code:
        return names
    code = _code_of(names.product_id)
    is_ours = not names.product_id or names.product_id in settings.AWS_PRODUCT_IDS
    if not code and is_ours and len(settings.AWS_PRODUCT_CODES) == 1:
        (code,) = settings.AWS_PRODUCT_CODES
    return replace(names, product_code=code)


def _code_of(product_id: str) -> str:
    """The code of a product, of which AWS has told us both; empty if it has not."""
    if not product_id:
        return ""
    known = AwsAgreement.objects.filter(product_id=product_id, product_code__in=settings.AWS_PRODUCT_CODES)
    return known.values_list("product_code", flat=True).first() or ""


def add_names(row: AwsAgreement, names: Names) -> None:
    """Write down what was not known of a purchase's names. Not saved yet."""
    for name, value in vars(complete(names)).items():
        # An offer may change within a purchase; everything else is told once and stays.
        if value and (not getattr(row, name) or name == "offer_id"):
            setattr(row, name, value)


def gather(row: AwsAgreement) -> None:
    """Take in what was heard of this purchase before its names were known to belong together; saves the row.

    A message of the old style knows a customer, one of the new style an AWS account; only a registration or AWS's
    answer says that they are the same. If the buyer has other purchases, nobody can say of which it spoke.
    """
    row.save()
    alike = of_buyer(Names(**{name: getattr(row, name) or "" for name in Names.__dataclass_fields__}))
    others = [other for other in alike if other.pk != row.pk]
    for other in others:
        if other.account_id is None and not other.ids() and not other.former_ids:
            if len(others) == 1:
                absorb(row, other)
            else:
                other.delete()


def absorb(row: AwsAgreement, other: AwsAgreement) -> None:
    """Two rows are one purchase, as a message has shown: keep `row`, which may have an account; `other` has none."""
    assert other.account_id is None
    was_over = row.is_over
    other.delete()
    for name in Names.__dataclass_fields__:
        if not getattr(row, name):
            setattr(row, name, getattr(other, name))
    row.former_ids = sorted({*row.former_ids, *other.former_ids})
    row.first_heard_at = min(row.first_heard_at, other.first_heard_at)
    if other.terms_said_at and (row.terms_said_at is None or other.terms_said_at > row.terms_said_at):
        for name in ("accepted_at", "starts_at", "renews_or_ends_at", "auto_renewal", "trial_ends_at", "terms_said_at"):
            if getattr(other, name) is not None:
                setattr(row, name, getattr(other, name))
    row.on_trial = row.on_trial or other.on_trial
    if other.subscribed_at and (row.subscribed_at is None or other.subscribed_at > row.subscribed_at):
        row.subscribed_at = other.subscribed_at
    if other.ended_at and (row.ended_at is None or other.ended_at > row.ended_at):
        row.ended_at, row.end_reason = other.ended_at, other.end_reason
    for name in ("failed_at", "unsubscribe_pending_at", "final_hour_until", "agreement_over_at", "deprovisioned_at"):
        if getattr(row, name) is None:
            setattr(row, name, getattr(other, name))
    if was_over and row.runs:
        row.subscription = None
    row.save()


def _had_ended(row: AwsAgreement, at: datetime) -> bool:
    leaves_at = row.leaves_at()
    return leaves_at is not None and leaves_at <= at


def _by_id(names: Names) -> Found | None:
    ids = [known for known in (names.agreement_id, names.licence_id) if known]
    if not ids:
        return None
    # An account that is being erased takes its row with it; whoever comes now under its ids is somebody new.
    AwsAgreement.objects.filter(
        Q(agreement_id__in=ids) | Q(licence_id__in=ids), account__purging_at__isnull=False
    ).update(agreement_id=None, licence_id=None)
    rows = list(
        AwsAgreement.objects.filter(Q(agreement_id__in=ids) | Q(licence_id__in=ids) | Q(former_ids__overlap=ids))
        .filter(account__purging_at=None)
        .locked()
        .order_by("pk")
    )
    current = [row for row in rows if set(ids) & set(row.ids())]
    if len(current) == 2:
        return Found(_joined(current, names))
    if current:
        return Found(current[0])
    if rows:
        return Found(rows[0], is_old=True)
    return None


def _joined(rows: list[AwsAgreement], names: Names) -> AwsAgreement:
    """An agreement in one row and its licence in another, named by one message: they are one purchase."""
    by_licence, by_agreement = sorted(rows, key=lambda row: row.licence_id != names.licence_id)
    if by_licence.account_id and by_agreement.account_id:
        # Both registered: the licence is what the registration proved, the agreement was found by elimination.
        by_agreement.agreement_id = None
        by_agreement.save(update_fields=["agreement_id"])
        return by_licence
    kept, other = (by_agreement, by_licence) if by_agreement.account_id else (by_licence, by_agreement)
    absorb(kept, other)
    return kept


def _same_buyer(row: AwsAgreement, names: Names) -> bool:
    """Nothing that both name differs: one AWS account has one customer identifier for a product."""
    pairs = [
        (row.aws_account_id, names.aws_account_id),
        (row.customer_identifier, names.customer_identifier),
    ]
    return all(ours == theirs for ours, theirs in pairs if ours and theirs)


def _same_product(row: AwsAgreement, names: Names) -> bool:
    """Nothing that both name differs, and the product that is named is one that we know."""
    if names.product_id and not names.product_code:
        return row.product_id == names.product_id
    pairs = [(row.product_code, names.product_code), (row.product_id, names.product_id)]
    return all(ours == theirs for ours, theirs in pairs if ours and theirs)


def _fits(row: AwsAgreement, names: Names, accepted_at: datetime | None) -> bool:
    """Whether the row may be what is meant, though no id says so."""
    if (names.agreement_id and row.agreement_id) or (names.licence_id and row.licence_id):
        return False
    # Bought after we knew of the row: it is another purchase. What we knew of a purchase cannot be older than itself.
    return accepted_at is None or row.is_over or accepted_at <= row.first_heard_at + CLOCKS_DIFFER
