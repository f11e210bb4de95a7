"""The first half of a deletion's four eyes: who proposed it, on what grounds, and who approved it."""

from typing import Any, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.customers.user import User
from accounts.support.identity import IdentityFact
from accounts.support.requests import SupportRequest

MAX_OVERRIDE = 2000


class DeletionProposalQuerySet(models.QuerySet["DeletionProposal"]):
    def standing(self) -> Self:
        """Those that nobody has taken back."""
        return self.filter(withdrawn_at=None)

    def undecided(self) -> Self:
        """Those that wait for a second person."""
        return self.standing().filter(approved_at=None, request__closed_at=None)


class DeletionProposal(models.Model):
    """A member of staff's word that a request for deletion is genuine and should be carried out."""

    request = models.ForeignKey(
        SupportRequest, on_delete=models.PROTECT, related_name="proposals", verbose_name=_("request")
    )
    # People by their ids, so that the database can tell them apart, and the staff's outlive them.
    requested_by = models.ForeignKey(
        User,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        related_name="+",
        verbose_name=_("requested by"),
    )
    proposed_by = models.ForeignKey(
        User,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
        verbose_name=_("proposed by"),
    )
    proposed_at = models.DateTimeField(_("proposed"))
    #: Which facts were compared; empty when the owner asked while signed in.
    identity: "ArrayField[Any, Any]" = ArrayField(
        models.CharField(max_length=30, choices=IdentityFact.choices),
        verbose_name=_("identity, by"),
        default=list,
        blank=True,
    )
    #: Why to go on in spite of an obstacle. Goes with the account; the history says only that there was one.
    override = models.TextField(_("reason to go on all the same"), max_length=MAX_OVERRIDE, blank=True)
    approved_by = models.ForeignKey(
        User,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("approved by"),
    )
    approved_at = models.DateTimeField(_("approved"), null=True, blank=True)
    withdrawn_at = models.DateTimeField(_("taken back"), null=True, blank=True)

    objects = DeletionProposalQuerySet.as_manager()

    class Meta:
        verbose_name = _("proposal to delete")
        verbose_name_plural = _("proposals to delete")
        constraints = [
            models.UniqueConstraint(
                fields=["request"], condition=models.Q(withdrawn_at=None), name="proposal_one_standing_a_request"
            ),
            models.CheckConstraint(
                condition=models.Q(approved_at=None, approved_by=None)
                | models.Q(approved_at__gte=models.F("proposed_at"), approved_by__isnull=False)
                & ~models.Q(approved_by=models.F("proposed_by"))
                & ~models.Q(approved_by=models.F("requested_by")),
                name="proposal_approved_by_another",
            ),
            models.CheckConstraint(
                condition=models.Q(withdrawn_at=None)
                | models.Q(withdrawn_at__gte=models.F("proposed_at"), approved_at=None),
                name="proposal_withdrawn_or_approved",
            ),
            models.CheckConstraint(
                condition=models.Q(identity__contained_by=IdentityFact.values), name="proposal_identity_is_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.request_id}, {self.proposed_at:%Y-%m-%d %H:%M}Z"
