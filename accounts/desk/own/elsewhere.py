"""Stores elsewhere at the support desk: how each stands, what to do about it, and closing one by hand, by two."""

from datetime import datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core import roles
from accounts.core.form_fields import NameField
from accounts.customers.history import Actor
from accounts.desk.account_page.panels import Panel, Subject
from accounts.desk.actions.action import Act, ActForm, Values
from accounts.elsewhere import by_hand
from accounts.elsewhere.remote_erasure import How, RemoteErasure, Said


class CaseNumberForm(ActForm):
    case_number = NameField(
        label=_("The store’s own case number"),
        limit=by_hand.MAX_CASE_NUMBER,
        help_text=_("By which its answer is found again: of a ticket, a letter, a call."),
    )


def ask_again(row: RemoteErasure, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    return gettext("The store is asked again.") if by_hand.ask_again(row, at=at, by=by) else None


def state(row: RemoteErasure, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    if not by_hand.state(row, case_number=values["case_number"], at=at, by=by):
        return None
    return gettext("Stated. It takes a second person to approve it.")


def take_back(row: RemoteErasure, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    return gettext("The statement is taken back.") if by_hand.take_back(row, at=at, by=by) else None


def approve(row: RemoteErasure, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    if not by_hand.approve(row, at=at, by=by):
        return None
    return gettext("Approved. The certificate will say that staff have stated it.")


def _is_open(row: RemoteErasure, at: datetime) -> bool:
    return row.done_at is None


def _is_stated(row: RemoteErasure, at: datetime) -> bool:
    return row.done_at is None and row.proposed_by_id is not None


def _of(row: RemoteErasure) -> Any:
    return row.account_id


def what_to_do(row: RemoteErasure, at: datetime) -> str | Promise:
    """The next step of staff's, if there is one; else what happens by itself."""
    if not row.is_open:
        return ""
    if row.proposed_by_id:
        return _("Have somebody else approve the statement, or take it back.")
    if row.remote_store is None:
        return _("Put the store back into REMOTE_STORES, or state by hand what became of it.")
    if row.said == Said.REFUSED:
        return _("Settle it with whoever runs the store. Then ask again, or state by hand what came of it.")
    if row.misconfigured_since:
        return _("Check its address and secret in REMOTE_STORES. It is tried again by itself.")
    if row.stuck_since:
        return _("Ask whoever runs the store about the rest. It is asked after by itself.")
    if row.shown_from <= at:
        return _(
            "Remind whoever runs the store of what they promised; if they answer by other means, state it by hand."
        )
    return _("Nothing: it is asked by itself.")


def elsewhere(subject: Subject, at: datetime) -> dict[str, Any] | None:
    """Each store that was asked about the account, the newest purge first."""
    rows = list(
        RemoteErasure.objects.of(subject.account_id)
        .select_related("purge", "proposed_by", "approved_by")
        .order_by("-obliged_at", "store")
    )
    if not rows:
        return None
    return {"rows": [(row, what_to_do(row, at), row.is_open and row.shown_from <= at) for row in rows], "How": How}


ACTIONS = (
    Act(
        "ask_store_again",
        _("Ask the store again"),
        RemoteErasure,
        roles.MEND,
        ask_again,
        account_of=_of,
        offered=_is_open,
    ),
    Act(
        "state_store",
        _("State by hand that nothing is left there"),
        RemoteErasure,
        roles.DELETE,
        state,
        account_of=_of,
        offered=lambda row, at: _is_open(row, at) and row.proposed_by_id is None,
        form=CaseNumberForm,
        is_grave=True,
    ),
    Act(
        "approve_store",
        _("Approve as the second person"),
        RemoteErasure,
        roles.DELETE,
        approve,
        account_of=_of,
        offered=_is_stated,
        is_grave=True,
    ),
    Act(
        "take_back_store",
        _("Take the statement back"),
        RemoteErasure,
        roles.DELETE,
        take_back,
        account_of=_of,
        offered=_is_stated,
    ),
)

PANEL = Panel(_("Erasing elsewhere"), "accounts/desk/elsewhere.html", elsewhere, place=62, is_wide=True)
