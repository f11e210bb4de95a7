"""What staff can do about marketplaces at the support desk. Declared in `marketplace.extension`."""

from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core import roles
from accounts.core.formats import brief
from accounts.customers import history
from accounts.customers.history import Actor
from accounts.desk.actions.action import Act, Values
from accounts.models import Account, Purge
from marketplace import tombstone
from marketplace.event_kinds import MarketplaceEvent
from marketplace.offboarding import offboarding, runner
from marketplace.offboarding.offboarding import OffboardingStep, StepKind
from marketplace.tombstone import Tombstone


def _is_open(step: OffboardingStep, at: datetime) -> bool:
    found = step.offboarding
    return step.done_at is None and found.called_off_at is None and found.finished_at is None


def reactivate(account: Account, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    """Take a customer back within the window: nothing is erased, and the account works again, on Free."""
    if not offboarding.call_off(account, because="staff", at=at, by=by):
        return None
    if stands := Purge.objects.of(account.pk).open().first():
        return gettext("The account is active again. Its data is still erased from %(due)s on: %(cause)s.") % {
            "due": brief(stands.due_at),
            "cause": stands.get_cause_display(),
        }
    return gettext("The account is active again, with its data, on Free.")


def retry_step(step: OffboardingStep, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    return gettext("The step is tried with the next run.") if runner.retry(step, at=at) else None


def skip_step(step: OffboardingStep, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    changed = runner.skip(step, because=values["reason"], by=by, at=at)
    return gettext("The step counts as done; the next one goes on.") if changed else None


def deal_with(found: Tombstone, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    """Staff have asked the marketplace to end a purchase of which nothing is left here."""
    if not tombstone.deal_with(found, at):
        return None
    history.record(found.account_id, MarketplaceEvent.TOMBSTONE_DEALT_WITH, at=at, by=by, tombstone=found.pk)
    return gettext("It is shown again if the marketplace still names it in five weeks.")


ACTIONS = (
    Act(
        "deal_with_tombstone",
        _("The marketplace has been asked to end it"),
        Tombstone,
        roles.MEND,
        deal_with,
        account_of=lambda found: found.account_id,
        offered=lambda found, at: found.named_at is not None,
    ),
    Act(
        "reactivate",
        _("Reactivate the account"),
        Account,
        roles.REACTIVATE,
        reactivate,
        account_of=lambda account: account.pk,
        in_bulk=True,
        offered=lambda account, at: account.deactivated_at is not None and account.purging_at is None,
    ),
    Act(
        "retry_step",
        _("Try again now"),
        OffboardingStep,
        roles.MEND,
        retry_step,
        account_of=lambda step: step.offboarding.account_id,
        in_bulk=True,
        # The erasing goes by its own dates (`accounts.erasure.purge`).
        offered=lambda step, at: _is_open(step, at) and step.kind != StepKind.PURGE,
    ),
    Act(
        "skip_step",
        _("Skip"),
        OffboardingStep,
        roles.MEND,
        skip_step,
        account_of=lambda step: step.offboarding.account_id,
        offered=lambda step, at: _is_open(step, at) and step.kind != StepKind.PURGE,
        is_grave=True,
    ),
)
