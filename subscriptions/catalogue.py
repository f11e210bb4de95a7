"""The catalogue: making plans and prices, changing them, and no longer selling them.

A plan in use keeps its past. Who holds it was sold certain features at a certain price: nothing here takes a feature
from them, or deletes what they hold, and a new price is for new purchases, unless whoever decides it says otherwise,
with notice (`subscriptions.pricing`). A plan that is no longer wanted is retired: nobody buys it, who has it keeps it.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256

from django.db import transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext_lazy as _

from accounts.core.foreign_input import MAX_CENTS, is_within_years
from accounts.core.refusal import Refused
from accounts.customers.promises import promise
from subscriptions.billing_record import BillingRecord
from subscriptions.plan import FREE, Interval, Plan, Price, PriceQuerySet
from subscriptions.subscription import Subscription

#: Less notice than that no owner can act upon; more than a year nobody remembers.
LEAST_NOTICE, MOST_NOTICE = timedelta(days=14), timedelta(days=365)
NOTICE = timedelta(days=30)


class CodeTaken(Refused):
    text = _("There is a plan with the code “%(code)s” already. Codes are for ever: choose another one.")


class KeepsFeatures(Refused):
    text = _(
        "%(count)s subscriptions hold this plan, or will: they keep what they were sold. To sell less, retire this "
        "plan and make another one."
    )


class InUse(Refused):
    text = _("Something was sold under this plan, or is mapped to it: it can't be deleted. Retire it instead.")


class EverybodyHasIt(Refused):
    text = _("Free is what everybody has who has no subscription: it has no price, and can't be retired or deleted.")


class WrongPrice(Refused):
    """A price, a date or a notice that can't be."""


class DecidedAlready(Refused):
    text = _("Another price is decided already, from %(when)s on. Call that one off first.")


class ListChanged(Refused):
    text = _(
        "The prices of this plan have changed since you opened this page. Open it again, and decide by what is there."
    )


class Begun(Refused):
    text = _("This price is on the list already: it can't be called off. Set another one.")


def held(plan: Plan, at: datetime) -> int:
    """How many subscriptions hold this plan at `at`, or will."""
    return Subscription.objects.filter(plan=plan).holding(at).count()


def was_sold(plan: Plan) -> bool:
    """Whether anybody ever held it, as far as is known."""
    sold = Subscription.objects.filter(plan=plan).exists()
    return sold or BillingRecord.objects.filter(plan=plan.code).exists()


def make_plan(code: str, name: str, features: Iterable[str], *, at: datetime) -> Plan:
    """A new plan. It is bought once it has a price. Raises `CodeTaken`."""
    with transaction.atomic():
        plan, is_new = Plan.objects.get_or_create(
            code=code.lower(), defaults={"name": name, "features": sorted(features)}
        )
        # Somebody's billing records may still name one that has been deleted.
        if not is_new or BillingRecord.objects.filter(plan=plan.code).exists():
            raise CodeTaken(code=code)
    return plan


def change_plan(plan: Plan, *, name: str, features: Iterable[str], at: datetime) -> bool:
    """Give a plan another name, or other features. Returns whether anything differed.

    What is added all who hold it have at once. Raises `KeepsFeatures` where somebody holds it, or will, and a feature
    would be taken from them.
    """
    wanted = sorted(set(features))
    with transaction.atomic():
        plan = _locked(plan)
        if (plan.name, sorted(plan.features)) == (name, wanted):
            return False
        # Of Free nobody holds a subscription, and everybody has it in the end.
        count = held(plan, at)
        if count and set(plan.features) - set(wanted):
            raise KeepsFeatures(count=count)
        plan.name, plan.features = name, wanted
        plan.save(update_fields=["name", "features"])
    return True


def retire(plan: Plan, *, at: datetime) -> bool:
    """Sell a plan no longer, from `at` on; what is sold stays, and renews. Returns whether it was sold.

    Raises `EverybodyHasIt`.
    """
    _refuse_free(plan)
    with transaction.atomic():
        plan = _locked(plan)
        if plan.retired_at:
            return False
        plan.retired_at = at
        plan.save(update_fields=["retired_at"])
    return True


def sell_again(plan: Plan, *, at: datetime) -> bool:
    """Sell a retired plan again. Returns whether it was retired."""
    with transaction.atomic():
        plan = _locked(plan)
        if plan.retired_at is None:
            return False
        plan.retired_at = None
        plan.save(update_fields=["retired_at"])
    return True


def delete(plan: Plan, *, at: datetime) -> None:
    """Delete a plan that was never sold, with its prices. Raises `InUse`, `EverybodyHasIt`."""
    _refuse_free(plan)
    try:
        with transaction.atomic():
            plan = _locked(plan)
            if was_sold(plan):
                raise InUse
            plan.prices.all().delete()
            plan.delete()
    except ProtectedError as error:
        raise InUse from error


def listed(plan: Plan, interval: int, currency: str, at: datetime) -> Price | None:
    """What the list says at `at` of this plan, interval and currency."""
    return Price.objects.on_the_list(at).filter(plan=plan, interval=interval, currency=currency).first()


def list_of(plan: Plan) -> str:
    """The prices of a plan, past and coming, as a form carries them: another text as soon as one differs."""
    prices = Price.objects.filter(plan=plan).order_by("pk").values_list("pk", "cents", "until_at", "called_off_at")
    return sha256(promise(*(part for row in prices for part in row)).encode()).hexdigest()


def set_price(
    plan: Plan,
    *,
    interval: Interval,
    currency: str,
    cents: int,
    at: datetime,
    from_at: datetime | None = None,
    notice: timedelta | None = None,
    decided_by: str = "",
) -> tuple[Price, bool]:
    """A seat costs `cents` a cycle for whoever buys from `from_at` (now) on.

    With `notice` existing direct subscriptions that pay an earlier list price pay it, too: from their first cycle after
    `from_at` that begins at least so long after their owners were told (`subscriptions.pricing`). Returns the price,
    and whether it is new: the same decision again changes nothing. `decided_by`: the list that whoever decides has
    seen (`list_of`). Raises `ListChanged` if there is another one now, `DecidedAlready` where a price is ahead,
    `WrongPrice`, `EverybodyHasIt`.
    """
    _refuse_free(plan)
    begins = from_at or at
    _refuse_nonsense(cents, begins, at, notice)
    days = notice.days if notice is not None else None
    with transaction.atomic():
        plan = _locked(plan)
        of_kind = Price.objects.filter(plan=plan, interval=interval, currency=currency)
        if ahead := of_kind.ahead(at).order_by("from_at").first():
            if (ahead.cents, ahead.from_at, ahead.notice_days) == (cents, begins, days):
                return ahead, False
            raise DecidedAlready(when=f"{ahead.from_at:%Y-%m-%d %H:%M} UTC")
        current = of_kind.on_the_list(at).first()
        if current and current.cents == cents and days is None:
            return current, False
        if decided_by and decided_by != list_of(plan):
            raise ListChanged
        if current:
            current.until_at = begins
            current.save(update_fields=["until_at"])
        price = Price.objects.create(
            plan=plan,
            interval=interval,
            currency=currency,
            cents=cents,
            from_at=begins,
            notice_days=days,
            decided_at=at,
        )
    return price, True


def stop_price(price: Price, *, at: datetime) -> bool:
    """Sell the plan at this price no longer, and at no other one instead. Returns whether it was on the list."""
    with transaction.atomic():
        _locked(price.plan)
        current = Price.objects.on_the_list(at).filter(pk=price.pk).first()
        if current is None:
            return False
        if ahead := _beside(current).ahead(at).first():
            raise DecidedAlready(when=f"{ahead.from_at:%Y-%m-%d %H:%M} UTC")
        current.until_at = at
        current.save(update_fields=["until_at"])
    return True


def call_off(price: Price, *, at: datetime) -> bool:
    """Call a price off before its date: what was on the list stays there. Returns whether anything changed.

    Owners who were told of it are told that it does not come (`subscriptions.pricing.repricing`). Raises `Begun`.
    """
    with transaction.atomic():
        _locked(price.plan)
        price = Price.objects.select_for_update(no_key=True).get(pk=price.pk)
        if price.called_off_at:
            return False
        if price.from_at is None or price.from_at <= at:
            raise Begun
        price.called_off_at = at
        price.save(update_fields=["called_off_at"])
        before = _beside(price).standing().filter(until_at=price.from_at).first()
        if before:
            before.until_at = price.until_at
            before.save(update_fields=["until_at"])
    return True


def _beside(price: Price) -> PriceQuerySet:
    """The other prices of the same plan, interval and currency."""
    same = Price.objects.filter(plan_id=price.plan_id, interval=price.interval, currency=price.currency)
    return same.exclude(pk=price.pk)


def _locked(plan: Plan) -> Plan:
    """The plan as it is now. Held against other changes, and against purchases: their rows refer to it."""
    return Plan.objects.select_for_update().get(pk=plan.pk)


def _refuse_free(plan: Plan) -> None:
    if plan.code == FREE:
        raise EverybodyHasIt


def _refuse_nonsense(cents: int, begins: datetime, at: datetime, notice: timedelta | None) -> None:
    if not 0 < cents <= MAX_CENTS:
        raise WrongPrice(_("A price is more than nothing. What costs nothing is Free, or a trial."))
    if begins < at:
        raise WrongPrice(_("A price begins now or later: what was bought was bought at the price of then."))
    if not is_within_years(begins):
        raise WrongPrice(_("This is too far ahead."))
    if notice is not None and not LEAST_NOTICE <= notice <= MOST_NOTICE:
        raise WrongPrice(_("Owners are told 14 days before at least, and a year before at most."))
