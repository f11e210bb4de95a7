"""What an account loses with its paid plan, and what stays: said before the button, in the account's own numbers.

The product registers each loss (`accounts.extension`): its texts, the feature that it hangs on, and how it is counted:
by a function here, or by numbers that its own system sends (`accounts.customers.usage`). A page and the mail that
confirms what was done on it quote the same numbers: the mail holds codes and counts, and is worded when it is sent.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.db import transaction
from django.utils.functional import Promise
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe

from accounts.core.errors import describe
from accounts.core.formats import number
from accounts.core.registry import Registry
from accounts.customers import usage
from accounts.customers.account import Account

logger = logging.getLogger(__name__)

#: Under this name the facts of a mail hold the losses that it tells of.
FACT = "losses"
#: The same for features that are given up, where nothing was counted.
GIVEN_UP = "given_up"


@dataclass(frozen=True)
class Words:
    """A loss as a sentence: without a number, and, where it can be counted, with one.

    `counted` gives the sentence for a count of at least 1, with `%(count)s` where the number belongs, so that each
    language has its own plurals: `lambda count: ngettext("%(count)s page …", "%(count)s pages …", count)`.
    """

    some: str | Promise
    counted: Callable[[int], str] | None = None


@dataclass(frozen=True)
class Loss:
    """One consequence of giving up a plan. The code is for ever: stored mails and the API name it."""

    code: str
    #: The code of the feature that it hangs on: nothing is lost by whom nothing was granted.
    feature: str
    #: What will happen.
    ahead: Words
    #: The same once it has happened; left out where the words are the same.
    now: Words | None = None
    #: How to mend it, or live with it; shown on pages.
    hint: str | Promise = ""
    #: Counts what an account has, in this database; None: its number is sent, or there is none.
    count: Callable[[Account], int] | None = None

    @property
    def is_counted(self) -> bool:
        return self.ahead.counted is not None


@dataclass(frozen=True)
class Lost:
    """A loss of one account. `count` is None where there is no number, or none that is fresh enough to be quoted."""

    loss: Loss
    count: int | None = None

    @property
    def ahead(self) -> str:
        return self._said(self.loss.ahead, number)

    @property
    def now(self) -> str:
        return self._said(self.loss.now or self.loss.ahead, number)

    @property
    def ahead_in_bold(self) -> SafeString:
        """For pages: with the number in bold."""
        return self._in_bold(self.loss.ahead)

    @property
    def now_in_bold(self) -> SafeString:
        return self._in_bold(self.loss.now or self.loss.ahead)

    @property
    def hint(self) -> str:
        return str(self.loss.hint)

    def _in_bold(self, words: Words) -> SafeString:
        if self.count is None or words.counted is None:
            return conditional_escape(str(words.some))
        text = conditional_escape(words.counted(self.count))
        bold = format_html("<strong>{}</strong>", number(self.count))
        return mark_safe(text % {"count": bold})  # noqa: S308  # both were escaped

    def _said(self, words: Words, written: Callable[[int], str]) -> str:
        if self.count is None or words.counted is None:
            return str(words.some)
        return words.counted(self.count) % {"count": written(self.count)}


@dataclass(frozen=True)
class Stay:
    """What an account keeps on the free plan, in a sentence: shown beside the losses, and in the mail about them."""

    code: str
    text: str | Promise
    #: Whether mails say it, too: they are short.
    in_mails: bool = False


REGISTRY: Registry[Loss] = Registry(key=attrgetter("code"))
STAYS: Registry[Stay] = Registry(key=attrgetter("code"))


def counted_codes() -> set[str]:
    """The codes of losses whose numbers are sent by the vendor's own system."""
    return {loss.code for loss in REGISTRY.all() if loss.is_counted and loss.count is None}


def of(account: Account, given_up: Collection[str], at: datetime) -> list[Lost]:
    """What `account` loses with these features, counted now, in the order of registration. Zero is no loss."""
    lost = [loss for loss in REGISTRY.all() if loss.feature in given_up]
    counts = _counts(account, lost, at)
    return [Lost(loss, counts.get(loss.code)) for loss in lost if counts.get(loss.code) != 0]


def _counts(account: Account, losses: list[Loss], at: datetime) -> dict[str, int]:
    """What is known of the numbers. A count that fails takes nobody's way out: its sentence alone is without one."""
    ours = [(loss.code, loss.count) for loss in losses if loss.count is not None]
    sent = {loss.code for loss in losses if loss.count is None and loss.is_counted}
    counts: dict[str, int] = {}
    for code, count in ours:
        try:
            with transaction.atomic():
                counts[code] = count(account)
        except Exception as error:
            # The product's own code: whatever is wrong with it must not keep anybody from cancelling.
            logger.error("the loss %s of account %s could not be counted: %s", code, account.pk, describe(error))
    if sent:
        counts |= {code: count for code, count in usage.fresh(account, at).items() if code in sent}
    return counts


def as_facts(lost: list[Lost]) -> dict[str, Any]:
    """For a mail: what its template finds again with `told`."""
    return {FACT: [{"code": one.loss.code, "count": one.count} for one in lost]}


def told(facts: Mapping[str, Any]) -> list[Lost]:
    """The losses that the facts of a mail tell of.

    Before losses were registered, the facts held a number under the code of each loss, zeros included: a mail of then
    that is still to be sent says what it would have said. A loss that is registered no more has no words, and is left
    out.
    """
    if FACT in facts:
        return [Lost(REGISTRY.named(item["code"]), item["count"]) for item in facts[FACT] if item["code"] in REGISTRY]
    given_up = facts.get(GIVEN_UP)
    lost = [loss for loss in REGISTRY.all() if given_up is None or loss.feature in given_up]
    return [Lost(loss, facts.get(loss.code)) for loss in lost if facts.get(loss.code) != 0]
