"""What staff can do to a finding of a payment provider: say that they have seen to it. Declared in the extension."""

from datetime import datetime

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core import roles
from accounts.customers.history import Actor
from accounts.desk.actions.action import Act, Row, Values
from subscriptions.billing import finding as findings
from subscriptions.billing.finding import Finding


def close_finding(finding: Finding, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    if not findings.close(finding, by=by.user, at=at):
        return None
    return gettext("The finding is closed. If it is found again, it comes back.")


def _list_url(row: Row) -> str:
    return reverse("admin:subscriptions_finding_changelist")


ACTIONS = (
    Act(
        "close_finding",
        _("I have seen to it"),
        Finding,
        roles.CANCEL,
        close_finding,
        account_of=lambda finding: finding.account_id,
        offered=lambda finding, at: finding.closed_at is None,
        in_bulk=True,
        leads_to=_list_url,
    ),
)
