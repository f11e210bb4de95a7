"""What staff can do to requests at the support desk. Declared in `accounts.extension`."""

import uuid
from datetime import datetime
from functools import partial

from django import forms
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.core import roles
from accounts.core.form_fields import InstantField, LongTextField, NameField
from accounts.core.formats import brief
from accounts.customers.account import Account
from accounts.customers.history import Actor
from accounts.customers.user import User
from accounts.desk.actions.action import Act, ActForm, PlainForm, Values
from accounts.desk.actions.fields import IdentityField
from accounts.desk.own.account_actions import itself
from accounts.support import answers as answering
from accounts.support import deletion, internal_notes, requests
from accounts.support.deletion_proposal import MAX_OVERRIDE
from accounts.support.requests import MAX_CASE_NUMBER, MAX_MESSAGE, RequestKind, RequestOutcome, SupportRequest


def of_request(request: SupportRequest) -> uuid.UUID:
    return request.account_id


def request_url(request: SupportRequest) -> str:
    """The request's page."""
    return reverse("admin:accounts_supportrequest_change", args=[request.pk])


def _is_open(request: SupportRequest, at: datetime) -> bool:
    return request.closed_at is None


def _is_extensible(request: SupportRequest, at: datetime) -> bool:
    return _may_be_decided(request, at) and request.extended_at is None


def _may_be_decided(request: SupportRequest, at: datetime) -> bool:
    return request.kind == RequestKind.DELETION and request.closed_at is None and request.decided_at is None


class AskForm(ActForm):
    kind = forms.ChoiceField(label=_("What is it about?"), choices=RequestKind.choices)
    message = LongTextField(label=_("What the customer says"), limit=MAX_MESSAGE, required=False)
    identity = IdentityField()


class AnswerForm(PlainForm):
    text = LongTextField(
        label=_("Answer"),
        limit=MAX_MESSAGE,
        help_text=_("It is mailed to the customer, and shown on their Support page."),
    )


class NoteForm(PlainForm):
    text = LongTextField(label=_("Note"), limit=MAX_MESSAGE, help_text=_("For colleagues. The customer never sees it."))


class AssignForm(PlainForm):
    to = forms.ModelChoiceField(
        label=_("To"),
        queryset=User.objects.filter(is_staff=True, is_active=True).order_by("name", "email"),
        required=False,
        empty_label=_("nobody"),
    )


class CaseForm(PlainForm):
    case_number = NameField(label=_("Number of the case at the marketplace"), limit=MAX_CASE_NUMBER)


class ExtendForm(PlainForm):
    until = InstantField(label=_("Until"))
    text = LongTextField(
        label=_("Why, for the customer"),
        limit=MAX_MESSAGE,
        help_text=_("The law allows two months more, once, if the customer is told why within the first month."),
    )


class OverrideForm(ActForm):
    override = LongTextField(
        label=_("Reason to go on in spite of an obstacle"),
        limit=MAX_OVERRIDE,
        required=False,
        help_text=_("Leave it empty where nothing is in the way."),
    )


class ProposeDeletionForm(OverrideForm):
    identity = IdentityField(at_least=0)


class CloseForm(PlainForm):
    outcome = forms.ChoiceField(
        label=_("Outcome"),
        choices=[
            (one.value, one.label)
            for one in (RequestOutcome.ANSWERED, RequestOutcome.DECLINED, RequestOutcome.REFUNDED)
        ],
    )
    text = LongTextField(
        label=_("Last answer"), limit=MAX_MESSAGE, required=False, help_text=_("Whoever is turned down is told why.")
    )


def ask(account: Account, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    kind = RequestKind(values["kind"])
    made, new = requests.ask(account, kind=kind, message=values["message"], identity=values["identity"], by=by, at=at)
    return gettext("%(reference)s is in the queue.") % {"reference": made.reference} if new else None


def answer(request: SupportRequest, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    _written, new = answering.answer(request, text=values["text"], by=by, at=at)
    return gettext("The answer is on its way.") if new else None


def note(request: SupportRequest, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    _written, new = internal_notes.note(request, text=values["text"], by=by, at=at)
    return gettext("The note is kept.") if new else None


def assign(request: SupportRequest, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    to = values["to"]
    if not answering.assign(request, to=to, by=by, at=at):
        return None
    return gettext("%(who)s takes care of it.") % {"who": to} if to else gettext("Nobody takes care of it for now.")


def record_case(request: SupportRequest, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    changed = answering.record_case(request, case_number=values["case_number"], by=by, at=at)
    return gettext("The number of the case is recorded.") if changed else None


def extend(request: SupportRequest, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    changed = answering.extend(request, until=values["until"], reason=values["text"], by=by, at=at)
    return gettext("It is due on %(until)s now.") % {"until": brief(values["until"])} if changed else None


def propose_deletion(request: SupportRequest, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    _proposal, new = deletion.propose(request, identity=values["identity"], override=values["override"], by=by, at=at)
    return gettext("The deletion is proposed. It waits for a second person to approve it.") if new else None


def send_back_deletion(request: SupportRequest, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    return gettext("The proposal is withdrawn.") if deletion.take_back(request, by=by, at=at) else None


def approve_deletion(request: SupportRequest, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    before = deletion.scheduled(request.account)
    found = deletion.approve(request, by=by, at=at, override=values["override"])
    if before:
        return None
    return gettext("The deletion is approved: everything is erased from %(due)s on, before %(deadline)s.") % {
        "due": brief(found.due_at),
        "deadline": brief(found.deadline_at),
    }


def call_off_deletion(request: SupportRequest, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    return gettext("The deletion is called off.") if deletion.call_off(request.account, by=by, at=at) else None


def close(request: SupportRequest, values: Values, by: Actor, at: datetime) -> str | Promise | None:
    changed = answering.close(request, outcome=RequestOutcome(values["outcome"]), text=values["text"], by=by, at=at)
    return gettext("The request is closed.") if changed else None


_on_request = partial(Act, model=SupportRequest, account_of=of_request, leads_to=request_url)
_answers = partial(_on_request, permission=roles.ANSWER)
ACTIONS = (
    Act(
        "ask",
        _("Enter a request"),
        Account,
        roles.ANSWER,
        ask,
        account_of=itself,
        offered=lambda account, at: account.purging_at is None,
        form=AskForm,
    ),
    _answers("answer", _("Answer"), carry_out=answer, offered=_is_open, form=AnswerForm, in_bulk=True),
    _answers("note", _("Write an internal note"), carry_out=note, form=NoteForm, in_bulk=True),
    _answers("assign", _("Assign"), carry_out=assign, offered=_is_open, form=AssignForm, in_bulk=True),
    _answers("record_case", _("Record the marketplace's case"), carry_out=record_case, offered=_is_open, form=CaseForm),
    _answers("extend", _("Take more time"), carry_out=extend, offered=_is_extensible, form=ExtendForm),
    _answers(
        "propose_deletion",
        _("Propose the deletion"),
        carry_out=propose_deletion,
        offered=_may_be_decided,
        form=ProposeDeletionForm,
    ),
    _answers("send_back_deletion", _("Send the proposal back"), carry_out=send_back_deletion, offered=_may_be_decided),
    _on_request(
        "approve_deletion",
        _("Approve the deletion"),
        permission=roles.DELETE,
        carry_out=approve_deletion,
        offered=_may_be_decided,
        form=OverrideForm,
        is_grave=True,
    ),
    _on_request(
        "call_off_deletion",
        _("Call the deletion off"),
        permission=roles.DELETE,
        carry_out=call_off_deletion,
        offered=lambda request, at: request.kind == RequestKind.DELETION and _is_open(request, at),
    ),
    _answers("close", _("Close"), carry_out=close, offered=_is_open, form=CloseForm, in_bulk=True),
)
