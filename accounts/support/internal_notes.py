"""What staff write about a request for each other. Never on a customer's page, in an export or in a mail."""

from datetime import datetime

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.core.text import wording
from accounts.customers import history
from accounts.customers.event_kinds import AccountEvent
from accounts.customers.history import Actor
from accounts.customers.staff import staff_member
from accounts.customers.user import User
from accounts.support.requests import MAX_MESSAGE, SupportRequest, locked


class InternalNote(models.Model):
    """A table of its own, so that no page of the customer's can show one by mistake."""

    request = models.ForeignKey(
        SupportRequest, on_delete=models.PROTECT, db_index=False, related_name="notes", verbose_name=_("request")
    )
    text = models.TextField(_("text"), max_length=MAX_MESSAGE)
    written_by = models.ForeignKey(
        User, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", verbose_name=_("written by")
    )
    written_at = models.DateTimeField(_("written"))

    objects: "models.Manager[InternalNote]" = models.Manager()

    class Meta:
        verbose_name = _("internal note")
        verbose_name_plural = _("internal notes")
        ordering = ["written_at", "id"]
        indexes = [models.Index(fields=["request", "written_at", "id"], name="note_of_request")]
        constraints = [models.CheckConstraint(condition=~models.Q(text=""), name="note_says_something")]

    def __str__(self) -> str:
        return f"{self.request_id}, {self.written_at:%Y-%m-%d %H:%M}Z"


def note(request: SupportRequest, *, text: str, by: Actor, at: datetime) -> tuple[InternalNote, bool]:
    """Write something down for colleagues, about a closed request too. Returns it, and whether it is new.

    The customer is not told. Raises `StaffOnly`, `NoText`, `TextTooLong`.
    """
    staff, text = staff_member(by, request.account_id), wording(text, limit=MAX_MESSAGE)
    with transaction.atomic():
        request = locked(request)
        last = request.notes.order_by("-written_at", "-pk").first()
        if last and (last.text, last.written_by_id) == (text, staff.pk):
            return last, False
        written = InternalNote.objects.create(request=request, text=text, written_by=staff, written_at=at)
        history.record(
            request.account_id, AccountEvent.REQUEST_NOTED, at=at, by=by, reference=request.reference, note=written.pk
        )
    return written, True
