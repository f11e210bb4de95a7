"""The words in which AWS speaks of a purchase, whichever way it tells them.

SNS and EventBridge tell of the same facts (facts/aws-marketplace, 2.2 and 2.3), so both are read into the same `Said`
(`marketplace.aws.payloads`): which purchase, which word, when by AWS's clock. Old and new style of a fact then have one
effect, because they are one thing. What a word does to a purchase stands in `marketplace.aws.lifecycle`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

from django.db import models
from django.utils.translation import gettext_lazy as _


class Word(Enum):
    """What was said of a purchase."""

    RUNS = auto()
    AMENDED = auto()
    FAILED = auto()
    LEAVING = auto()  # the final hour begins
    ENDED = auto()  # likewise, in EventBridge's words: the agreement has ended
    OVER = auto()
    RENEWED = auto()  # it ends only to go on under another agreement
    ASK = auto()  # something changed; AWS's answer says what
    DEPROVISIONED = auto()
    NOTED = auto()  # for the history


#: What ends a purchase, or begins its end.
TAKES_AWAY = frozenset({Word.FAILED, Word.LEAVING, Word.ENDED, Word.OVER, Word.DEPROVISIONED})


class AwsEndReason(models.TextChoices):
    UNSUBSCRIBED = "unsubscribed", _("unsubscribed")
    CANCELLED = "cancelled", _("cancelled by the buyer")
    EXPIRED = "expired", _("expired")
    TERMINATED = "terminated", _("terminated by AWS")
    WITHDRAWN = "withdrawn", _("archived or rolled back")
    ABSENT = "absent", _("AWS knows of no entitlement and no agreement any more")


@dataclass(frozen=True)
class Names:
    """How a purchase is named, as far as it was; empty: not told."""

    agreement_id: str = ""
    licence_id: str = ""
    aws_account_id: str = ""
    customer_identifier: str = ""
    product_code: str = ""
    product_id: str = ""
    offer_id: str = ""

    def known(self) -> dict[str, str]:
        """Those that are known, by the fields of an agreement."""
        return {name: value for name, value in vars(self).items() if value}

    def of_buyer(self) -> str:
        """What names the purchase, or at least its buyer; empty if nothing does."""
        return self.agreement_id or self.licence_id or self.customer_identifier or self.aws_account_id


@dataclass(frozen=True)
class AgreementTerms:
    """What was said of an agreement's terms; None: not told."""

    accepted_at: datetime | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    auto_renewal: bool | None = None
    on_trial: bool | None = None


@dataclass(frozen=True)
class Said:
    """One message. `kind` is AWS's own name for it; `facts` are ids, codes and counts for the history."""

    kind: str
    word: Word
    at: datetime
    names: Names
    terms: AgreementTerms = AgreementTerms()
    end_reason: AwsEndReason = AwsEndReason.UNSUBSCRIBED
    #: The agreement that this one renews or replaces; empty if that is not told.
    previous_agreement_id: str = ""
    continues: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)
    #: What staff should look at.
    alert: str = ""
