"""The life of a purchase at AWS: what was said of it, and what each word changes.

What is known is what AWS said last, by AWS's own clock: two instants, of the newest word that it runs and of the newest
word that it is over. Whatever order messages come in, and however often, the two end up the same. A word touches the
purchase's own dates and nothing else: no other row, no account, no question to anybody. What follows from it for the
account is `marketplace.aws.purchases`; what happened that the account's history should tell is noted in `news` for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.checks.schedule import SETTLING_TIME, Checked
from accounts.inbox.delivery import DeliveryOutcome
from marketplace.aws.vocabulary import AwsEndReason, Said, Word
from marketplace.event_kinds import MarketplaceEvent

#: How long final metering records are taken after a cancellation (facts/aws-marketplace, 2.4).
FINAL_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class News:
    """A line for the history of the account, not written yet."""

    kind: MarketplaceEvent
    facts: Mapping[str, object] = field(default_factory=dict)


class Lifecycle(Checked):
    """The dates of a purchase. None of its methods saves, or asks the database anything."""

    #: Of this life of it: a purchase that was over and is bought again is heard of anew.
    first_heard_at = models.DateTimeField(_("first heard of"))

    # What AWS says of its terms; `terms_said_at` keeps an older word from undoing a newer one.
    accepted_at = models.DateTimeField(_("accepted"), null=True, blank=True)
    starts_at = models.DateTimeField(_("starts"), null=True, blank=True)
    #: With auto-renewal the day of the renewal: never a fixed end (facts/aws-marketplace, 2.6).
    renews_or_ends_at = models.DateTimeField(_("renews or ends"), null=True, blank=True)
    auto_renewal = models.BooleanField(_("renews by itself"), null=True, blank=True)
    on_trial = models.BooleanField(_("free trial"), default=False)
    trial_ends_at = models.DateTimeField(_("trial ends"), null=True, blank=True)
    terms_said_at = models.DateTimeField(_("terms as of"), null=True, blank=True)

    # What AWS said of its life, by AWS's clock.
    subscribed_at = models.DateTimeField(_("runs, said on"), null=True, blank=True)
    failed_at = models.DateTimeField(_("payment failed"), null=True, blank=True)
    unsubscribe_pending_at = models.DateTimeField(_("unsubscribed, ends soon"), null=True, blank=True)
    final_hour_until = models.DateTimeField(_("final usage until"), null=True, blank=True)
    #: EventBridge's words for the same: the agreement has ended, its licence is gone.
    agreement_over_at = models.DateTimeField(_("agreement over, said on"), null=True, blank=True)
    deprovisioned_at = models.DateTimeField(_("licence gone, said on"), null=True, blank=True)
    ended_at = models.DateTimeField(_("over, said on"), null=True, blank=True)
    end_reason = models.CharField(_("ended because"), max_length=20, choices=AwsEndReason.choices, blank=True)

    class Meta:
        abstract = True

    # Reading

    @property
    def runs(self) -> bool:
        """Whether AWS said last that it runs. Of one instant, "over" is the later word."""
        return self.subscribed_at is not None and (self.ended_at is None or self.ended_at < self.subscribed_at)

    @property
    def is_over(self) -> bool:
        return self.ended_at is not None and not self.runs

    def leaves_at(self) -> datetime | None:
        """When AWS said that it ends or has ended; None if it goes on."""
        return self.ended_at if self.is_over else self.unsubscribe_pending_at

    def stays_by(self, said: Said) -> bool:
        """Whether this word means that its buyer has subscribed again before the end."""
        return self.unsubscribe_pending_at is not None and said.at > self.unsubscribe_pending_at

    def is_before_its_end(self, said: Said) -> bool:
        """Whether the word was said before, or with, the newest one that it is over."""
        return self.ended_at is not None and said.at <= self.ended_at

    def is_before_its_start(self, said: Said) -> bool:
        """Whether the word was said before the newest one that it runs."""
        return self.subscribed_at is not None and said.at < self.subscribed_at

    def is_over_by_its_word(self, at: datetime) -> bool:
        """Whether an event said that the agreement has ended, and its final hour is over by far."""
        over = self.agreement_over_at is not None and self.final_hour_until is not None
        return over and self.final_hour_until is not None and at >= self.final_hour_until + SETTLING_TIME

    def in_final_hour(self, at: datetime) -> bool:
        """Whether it was cancelled, and final usage may still come."""
        return bool(self.unsubscribe_pending_at and self.final_hour_until and at < self.final_hour_until)

    @property
    def news(self) -> list[News]:
        """What happened to it since it was read, for the history of its account."""
        found: list[News] = self.__dict__.setdefault("_news", [])
        return found

    # Changing

    def apply(self, said: Said, at: datetime) -> DeliveryOutcome:
        """Take in one message about this purchase, heard at `at`, and have AWS asked. Returns what came of it."""
        self._keep_terms(said)
        outcome = _WORDS[said.word](self, said, at)
        if outcome is DeliveryOutcome.STALE:
            self.ask(at)
        else:
            self.heard_of(at)
        return outcome

    def begin_again(self, said_at: datetime, at: datetime) -> None:
        """It was over and is bought again. What was said of its last end is past, unless it is of the next."""
        self.first_heard_at = at
        pending = self.unsubscribe_pending_at
        self.forget_leaving()
        if pending and pending > said_at:
            self.unsubscribe_pending_at, self.final_hour_until = pending, pending + FINAL_HOUR

    def stay(self) -> None:
        """Subscribed again before the end: AWS will never say that it is over (facts/aws-marketplace, 2.2)."""
        self.news.append(News(MarketplaceEvent.AWS_STAYS))
        self.forget_leaving()

    def forget_leaving(self) -> None:
        """It goes on: what was said of its end is past."""
        self.unsubscribe_pending_at = self.final_hour_until = None
        self.agreement_over_at = self.deprovisioned_at = None

    def let_go(self, reason: str, ended_at: datetime) -> None:
        """It is over, as AWS's answer says."""
        self.ended_at, self.end_reason, self.absent_since = ended_at, reason, None

    def let_go_by_its_word(self, at: datetime) -> None:
        """It is over, as an event said, with its final hour."""
        self.let_go(self.end_reason, max(self.final_hour_until or at, self.subscribed_at or at))

    def tell_renewal(self, on: bool | None) -> None:
        """Note whether it renews by itself; None: not told. A change of what was known is part of the history."""
        if on is None or on == self.auto_renewal:
            return
        if self.auto_renewal is not None:
            self.news.append(News(MarketplaceEvent.AWS_RENEWAL_ON if on else MarketplaceEvent.AWS_RENEWAL_OFF))
        self.auto_renewal = on

    def _keep_terms(self, said: Said) -> None:
        terms = said.terms
        if self.terms_said_at and said.at < self.terms_said_at:
            return
        told = {
            "accepted_at": terms.accepted_at,
            "starts_at": terms.starts_at,
            "renews_or_ends_at": terms.ends_at,
            "on_trial": terms.on_trial,
        }
        for name, value in told.items():
            if value is not None:
                setattr(self, name, value)
        if said.names.agreement_id and any(value is not None for value in (terms.ends_at, terms.auto_renewal)):
            self.terms_said_at = said.at
        self.tell_renewal(terms.auto_renewal)

    # The ten words

    def _runs(self, said: Said, at: datetime) -> DeliveryOutcome:
        if self.is_before_its_end(said):
            return DeliveryOutcome.STALE
        if self.is_over:
            self.begin_again(said.at, at)
        elif self.stays_by(said):
            self.stay()
        if self.failed_at and said.at > self.failed_at:
            self.failed_at = None
        if self.subscribed_at and said.at <= self.subscribed_at:
            return DeliveryOutcome.NO_CHANGE
        self.subscribed_at, self.absent_since = said.at, None
        return DeliveryOutcome.APPLIED

    def _amended(self, said: Said, at: datetime) -> DeliveryOutcome:
        if self.is_before_its_end(said):
            return DeliveryOutcome.STALE
        if self.subscribed_at is None:
            # Its beginning was lost; that it can be changed says that it runs.
            self.subscribed_at = said.at
        return DeliveryOutcome.APPLIED

    def _failed(self, said: Said, at: datetime) -> DeliveryOutcome:
        if self.subscribed_at and said.at <= self.subscribed_at:
            return DeliveryOutcome.STALE
        # Nothing is granted, and what was granted before is not taken: a new offer may have failed.
        self.failed_at = said.at
        return DeliveryOutcome.APPLIED

    def _leaving(self, said: Said, at: datetime) -> DeliveryOutcome:
        if self.is_before_its_start(said):
            return DeliveryOutcome.STALE
        self._open_final_hour(said.at)
        if self.is_over:
            return DeliveryOutcome.NO_CHANGE
        if self.unsubscribe_pending_at:
            self.unsubscribe_pending_at = min(self.unsubscribe_pending_at, said.at)
            return DeliveryOutcome.NO_CHANGE
        self.unsubscribe_pending_at = said.at
        assert self.final_hour_until is not None
        self.news.append(News(MarketplaceEvent.AWS_LEAVING, {"final_hour_until": self.final_hour_until.isoformat()}))
        return DeliveryOutcome.APPLIED

    def _ended(self, said: Said, at: datetime) -> DeliveryOutcome:
        """The agreement has ended: the new style's word for `unsubscribe-pending`. What never ran is over at once."""
        if self.is_before_its_start(said):
            return DeliveryOutcome.STALE
        if not self.runs or said.end_reason is AwsEndReason.WITHDRAWN:
            return self._over(said, at)
        outcome = self._leaving(said, at)
        self.agreement_over_at, self.end_reason = self.agreement_over_at or said.at, said.end_reason
        return outcome

    def _over(self, said: Said, at: datetime) -> DeliveryOutcome:
        if self.is_before_its_start(said):
            return DeliveryOutcome.STALE
        self._open_final_hour(said.at)
        was_over = self.is_over
        if self.ended_at is None or said.at > self.ended_at:
            self.ended_at = said.at
        if not was_over:
            # The agreement's own status, if we heard it, says more than that it was unsubscribed.
            if self.agreement_over_at is None:
                self.end_reason = said.end_reason
            self.absent_since = None
        return DeliveryOutcome.NO_CHANGE if was_over else DeliveryOutcome.APPLIED

    def _renewed(self, said: Said, at: datetime) -> DeliveryOutcome:
        # It goes on under another agreement, which another message or AWS's answer names.
        return DeliveryOutcome.NO_CHANGE

    def _deprovisioned(self, said: Said, at: datetime) -> DeliveryOutcome:
        """A licence has ended. That happens to renewed agreements too: AWS is asked what it means; the hour runs."""
        if self.is_before_its_start(said):
            return DeliveryOutcome.STALE
        self._open_final_hour(said.at)
        self.deprovisioned_at = said.at
        return DeliveryOutcome.NO_CHANGE if self.is_over else DeliveryOutcome.APPLIED

    def _ask(self, said: Said, at: datetime) -> DeliveryOutcome:
        return DeliveryOutcome.APPLIED

    def _noted(self, said: Said, at: datetime) -> DeliveryOutcome:
        self.news.append(News(MarketplaceEvent.AWS_NOTED, {"about": said.kind, **said.facts}))
        return DeliveryOutcome.APPLIED

    def _open_final_hour(self, said_at: datetime) -> None:
        """AWS's documents disagree on which message opens it (facts/aws-marketplace, 2.4): the first one does."""
        until = said_at + FINAL_HOUR
        self.final_hour_until = min(self.final_hour_until or until, until)


_WORDS = {
    Word.RUNS: Lifecycle._runs,
    Word.AMENDED: Lifecycle._amended,
    Word.FAILED: Lifecycle._failed,
    Word.LEAVING: Lifecycle._leaving,
    Word.ENDED: Lifecycle._ended,
    Word.OVER: Lifecycle._over,
    Word.RENEWED: Lifecycle._renewed,
    Word.DEPROVISIONED: Lifecycle._deprovisioned,
    Word.ASK: Lifecycle._ask,
    Word.NOTED: Lifecycle._noted,
}
