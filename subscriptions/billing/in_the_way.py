"""What stands in the way of a purchase: whatever holds the account already, or will, through any channel.

Asked by the page before it offers anything, and again, under the account's lock, before anybody is sent to pay: whoever
pays twice is angrier than whoever is refused. One account holds one subscription at a time (the database sees to it),
so a payment that got through all the same would be a finding for staff.
"""

from collections.abc import Callable
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.core.formats import day
from accounts.core.refusal import Refused
from accounts.core.registry import Registry, function_name
from accounts.erasure.purge import Purge
from accounts.models import Account
from accounts.support import deletion
from accounts.support.requests import RequestKind, SupportRequest
from subscriptions.subscription import Channel, Subscription

SETTINGS, SUPPORT = "subscription", "support"

#: What a channel knows beyond its subscriptions, such as a purchase that is still to begin: in words for the owner, or
#: None. Declared by the apps above (`subscriptions.channels.channel_extension`).
HolderElsewhere = Callable[[Account, datetime], "str | Promise | None"]
HOLDERS: Registry[HolderElsewhere] = Registry(key=function_name)

#: What holds the account now, in words that say who can end it. One that the owner has cancelled has words of its own.
HELD: dict[str, Promise] = {
    Channel.DIRECT: _(
        "The account has a %(plan)s subscription already. To have another plan, or more seats, write to support."
    ),
    Channel.DATADOG_SALES: _(
        "The account has a %(plan)s contract until %(end)s. Talk to us about what comes after it; once it has ended, "
        "you can subscribe here."
    ),
    Channel.AWS_MARKETPLACE: _(
        "The account is billed by AWS Marketplace. Change the plan there; or cancel it there, and subscribe here once "
        "it has ended."
    ),
    Channel.GITHUB_MARKETPLACE: _(
        "The account is billed by GitHub Marketplace. Change the plan there; or cancel it there, and subscribe here "
        "once it has ended."
    ),
}


class InTheWay(Refused):
    """Nothing can be bought now. Says why, and on which page (its name, and its label) one goes on."""

    def __init__(self, text: "str | Promise", page: str = "", label: "str | Promise" = "", **values: object) -> None:
        super().__init__(text, **values)
        self.page = page
        self.label = label


def refuse(account: Account, at: datetime) -> None:
    """Raise `InTheWay` if anything holds `account` at `at`, or will; or if its data is to be erased."""
    _refuse_if_to_be_erased(account)
    for held in Subscription.objects.of(account).holding(at).select_related("plan").order_by("started_at"):
        raise _words_for(held, at)
    for holder in HOLDERS.all():
        if said := holder(account, at):
            raise InTheWay(said, SETTINGS, _("To Subscription Settings"))


def obstacle(account: Account, at: datetime) -> InTheWay | None:
    """The same as an answer, for the page that says so."""
    try:
        refuse(account, at)
    except InTheWay as refused:
        return refused
    return None


def _refuse_if_to_be_erased(account: Account) -> None:
    begun = Purge.objects.of(account.pk).open().filter(started_at__isnull=False)
    if account.purging_at or begun.exists():
        raise InTheWay(_("The data of this account is being erased. Nothing can be bought for it any more."))
    call_it_off = (SUPPORT, _("Call the deletion off"))
    if purge := deletion.scheduled(account):
        text = _(
            "The account and all its data are to be deleted from %(due)s on. Call that off first, if you would rather "
            "stay."
        )
        raise InTheWay(text, *call_it_off, due=day(purge.due_at))
    if SupportRequest.objects.open().filter(account=account, kind=RequestKind.DELETION).exists():
        text = _(
            "You have asked for this account and all its data to be deleted. Call that off first, if you would rather "
            "stay."
        )
        raise InTheWay(text, *call_it_off)


def _words_for(held: Subscription, at: datetime) -> InTheWay:
    plan = held.plan.name
    to_settings = (SETTINGS, _("To Subscription Settings"))
    if held.started_at > at:
        text = _(
            "A %(plan)s subscription is to begin on %(start)s already (%(channel)s). Nothing can be bought beside it."
        )
        return InTheWay(
            text,
            SUPPORT,
            _("Write to support"),
            plan=plan,
            start=day(held.started_at),
            channel=held.get_channel_display(),
        )
    if held.suspended_at and held.suspended_at <= at:
        text = _(
            "The account has a %(plan)s subscription that is suspended, as a rule because a payment is missing. Settle "
            "that instead of buying another one: Subscription Settings lead to your card and invoices."
        )
        return InTheWay(text, *to_settings, plan=plan)
    if held.channel == Channel.DIRECT and held.ends_at:
        if held.billed_until or held.refunds.approved().exists():
            text = _("The account has %(plan)s until %(end)s. From then on you can subscribe here again.")
        else:
            text = _(
                "The account has %(plan)s until %(end)s. Until then you can keep it as it is; from then on you can "
                "subscribe here again."
            )
        return InTheWay(text, *to_settings, plan=plan, end=day(held.ends_at))
    end = day(held.ends_at) if held.ends_at else ""
    return InTheWay(HELD[held.channel], *to_settings, plan=plan, end=end)
