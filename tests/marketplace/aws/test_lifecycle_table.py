"""What each word of AWS's changes: dates before, the word, dates after. No database, no account, no other row."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from accounts.inbox.delivery import DeliveryOutcome
from marketplace.aws.agreement import AwsAgreement
from marketplace.aws.vocabulary import AgreementTerms, AwsEndReason, Names, Said, Word
from tests.factories import NOW

#: When the word was said, and instants before and after it. The final hour begins with the first word of the end.
SAID = NOW
EARLIER, LATER = SAID - timedelta(days=2), SAID + timedelta(days=2)
HOUR = SAID + timedelta(hours=1)
HEARD = SAID + timedelta(minutes=3)
FIRST_HEARD = SAID - timedelta(days=9)
#: The fields that the table shows; the others stay as they are.
DATES = (
    *("subscribed_at", "failed_at", "unsubscribe_pending_at", "final_hour_until"),
    *("agreement_over_at", "deprovisioned_at", "ended_at", "end_reason", "first_heard_at"),
)
RUNNING = {"subscribed_at": EARLIER}
LEAVING = {**RUNNING, "unsubscribe_pending_at": SAID - timedelta(minutes=9), "final_hour_until": HOUR}
OVER = {**RUNNING, "ended_at": SAID - timedelta(hours=1), "end_reason": "unsubscribed"}

APPLIED, STALE, NOTHING = DeliveryOutcome.APPLIED, DeliveryOutcome.STALE, DeliveryOutcome.NO_CHANGE
Dates = dict[str, Any]

#: Before, the word, what comes of it, what is different after; None: as before but for what is named.
TABLE: dict[str, tuple[Dates, Word, DeliveryOutcome, Dates, list[str]]] = {
    "runs: for the first time": ({}, Word.RUNS, APPLIED, {"subscribed_at": SAID}, []),
    "runs: told again later": (RUNNING, Word.RUNS, APPLIED, {"subscribed_at": SAID}, []),
    "runs: an older word": ({"subscribed_at": LATER}, Word.RUNS, NOTHING, {}, []),
    "runs: before its end": ({**OVER, "ended_at": SAID}, Word.RUNS, STALE, {}, []),
    "runs: after the payment had failed": (
        {"failed_at": EARLIER}, Word.RUNS, APPLIED, {"subscribed_at": SAID, "failed_at": None}, [],
    ),
    "runs: though it was leaving": (
        LEAVING,
        Word.RUNS,
        APPLIED,
        {"subscribed_at": SAID, "unsubscribe_pending_at": None, "final_hour_until": None},
        ["aws.stays"],
    ),
    "runs: bought again": (OVER, Word.RUNS, APPLIED, {"subscribed_at": SAID, "first_heard_at": HEARD}, []),
    "runs: bought again, and its next end was heard first": (
        {**OVER, "unsubscribe_pending_at": LATER, "final_hour_until": LATER},
        Word.RUNS,
        APPLIED,
        {"subscribed_at": SAID, "first_heard_at": HEARD, "final_hour_until": LATER + timedelta(hours=1)},
        [],
    ),
    "amended: its beginning was lost": ({}, Word.AMENDED, APPLIED, {"subscribed_at": SAID}, []),
    "amended: it runs": (RUNNING, Word.AMENDED, APPLIED, {}, []),
    "amended: before its end": ({**OVER, "ended_at": LATER}, Word.AMENDED, STALE, {}, []),
    "failed: before it ever ran": ({}, Word.FAILED, APPLIED, {"failed_at": SAID}, []),
    "failed: a new offer, while it runs": (RUNNING, Word.FAILED, APPLIED, {"failed_at": SAID}, []),
    "failed: an older word": ({"subscribed_at": SAID}, Word.FAILED, STALE, {}, []),
    "leaving: it runs": (
        RUNNING, Word.LEAVING, APPLIED, {"unsubscribe_pending_at": SAID, "final_hour_until": HOUR}, ["aws.leaving"],
    ),
    "leaving: told again": (
        {**LEAVING, "final_hour_until": SAID + timedelta(minutes=51)}, Word.LEAVING, NOTHING, {}, [],
    ),
    "leaving: before it began": ({"subscribed_at": LATER}, Word.LEAVING, STALE, {}, []),
    "leaving: it is over": (OVER, Word.LEAVING, NOTHING, {"final_hour_until": HOUR}, []),
    "ended: it runs": (
        RUNNING,
        Word.ENDED,
        APPLIED,
        {
            "unsubscribe_pending_at": SAID,
            "final_hour_until": HOUR,
            "agreement_over_at": SAID,
            "end_reason": "cancelled",
        },
        ["aws.leaving"],
    ),
    "ended: it never ran": (
        {}, Word.ENDED, APPLIED, {"ended_at": SAID, "end_reason": "cancelled", "final_hour_until": HOUR}, [],
    ),
    "ended: before it began": ({"subscribed_at": LATER}, Word.ENDED, STALE, {}, []),
    "over: it was leaving": (LEAVING, Word.OVER, APPLIED, {"ended_at": SAID, "end_reason": "cancelled"}, []),
    "over: nothing was heard of its leaving": (
        RUNNING, Word.OVER, APPLIED, {"ended_at": SAID, "end_reason": "cancelled", "final_hour_until": HOUR}, [],
    ),
    "over: why it ended was told before": (
        {**LEAVING, "agreement_over_at": EARLIER, "end_reason": "expired"}, Word.OVER, APPLIED, {"ended_at": SAID}, [],
    ),
    "over: told again": (
        {**OVER, "final_hour_until": SAID}, Word.OVER, NOTHING, {"ended_at": SAID}, [],
    ),
    "over: of the same instant as its beginning": (
        {"subscribed_at": SAID},
        Word.OVER,
        APPLIED,
        {"ended_at": SAID, "end_reason": "cancelled", "final_hour_until": HOUR},
        [],
    ),
    "over: before it began": ({"subscribed_at": LATER}, Word.OVER, STALE, {}, []),
    "renewed": (RUNNING, Word.RENEWED, NOTHING, {}, []),
    "deprovisioned: it runs": (
        RUNNING, Word.DEPROVISIONED, APPLIED, {"deprovisioned_at": SAID, "final_hour_until": HOUR}, [],
    ),
    "deprovisioned: it is over": (
        OVER, Word.DEPROVISIONED, NOTHING, {"deprovisioned_at": SAID, "final_hour_until": HOUR}, [],
    ),
    "deprovisioned: before it began": ({"subscribed_at": LATER}, Word.DEPROVISIONED, STALE, {}, []),
    "ask": (RUNNING, Word.ASK, APPLIED, {}, []),
    "noted": (RUNNING, Word.NOTED, APPLIED, {}, ["aws.noted"]),
}  # fmt: skip


def dates(row: AwsAgreement) -> Dates:
    return {name: getattr(row, name) for name in DATES}


def said(word: Word, **changes: Any) -> Said:
    return Said("a message", word, SAID, Names(agreement_id="agmt-1"), end_reason=AwsEndReason.CANCELLED, **changes)


@pytest.mark.parametrize("case", list(TABLE))
def test_a_word_changes_these_dates_and_no_others(case: str) -> None:
    before, word, outcome, changed, news = TABLE[case]
    row = AwsAgreement(**{"first_heard_at": FIRST_HEARD, **before})
    expected = {**dates(row), **changed}
    assert row.apply(said(word), HEARD) is outcome
    assert dates(row) == expected
    assert [item.kind.value for item in row.news] == news


@pytest.mark.parametrize("case", [case for case, found in TABLE.items() if found[1] is not Word.NOTED])
def test_the_same_word_twice_is_said_once(case: str) -> None:
    before, word, _outcome, _changed, _news = TABLE[case]
    row = AwsAgreement(**{"first_heard_at": FIRST_HEARD, **before})
    row.apply(said(word), HEARD)
    once = dates(row)
    row.news.clear()
    row.apply(said(word), HEARD)
    assert dates(row) == once
    assert row.news == []


def test_every_word_stands_in_the_table() -> None:
    assert {found[1] for found in TABLE.values()} == set(Word)


def test_after_each_word_aws_is_asked_at_once_and_once_more() -> None:
    row = AwsAgreement(first_heard_at=FIRST_HEARD)
    row.apply(said(Word.RUNS), HEARD)
    assert (row.check_at, row.checks_left, row.event_at) == (HEARD, 2, HEARD)
    # What is older than what we know is no event, and yet a reason to ask.
    row.apply(said(Word.RUNS), LATER)
    stale = AwsAgreement(first_heard_at=FIRST_HEARD, **OVER)
    stale.ended_at = LATER
    stale.apply(said(Word.RUNS), HEARD)
    assert (stale.check_at, stale.checks_left, stale.event_at) == (HEARD, 2, None)


def test_terms_of_an_older_word_do_not_undo_those_of_a_newer_one() -> None:
    row = AwsAgreement(first_heard_at=FIRST_HEARD, auto_renewal=False, renews_or_ends_at=LATER, terms_said_at=LATER)
    row.apply(said(Word.AMENDED, terms=AgreementTerms(ends_at=EARLIER, auto_renewal=True)), HEARD)
    assert (row.auto_renewal, row.renews_or_ends_at) == (False, LATER)


@pytest.mark.parametrize(
    ("known", "told", "news"),
    [
        (None, True, []),
        (True, True, []),
        (True, None, []),
        (True, False, ["aws.renewal_off"]),
        (False, True, ["aws.renewal_on"]),
    ],
)
def test_a_change_of_the_renewal_is_news(known: bool | None, told: bool | None, news: list[str]) -> None:
    row = AwsAgreement(first_heard_at=FIRST_HEARD, auto_renewal=known, **RUNNING)
    row.apply(said(Word.AMENDED, terms=AgreementTerms(auto_renewal=told)), HEARD)
    assert [item.kind.value for item in row.news] == news
    assert row.auto_renewal is (known if told is None else told)


def test_whatever_the_order_the_two_newest_instants_decide() -> None:
    words: list[tuple[Word, datetime]] = [(Word.RUNS, EARLIER), (Word.OVER, SAID), (Word.RUNS, LATER)]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]):
        row = AwsAgreement(first_heard_at=FIRST_HEARD)
        for place in order:
            word, at = words[place]
            row.apply(Said("a message", word, at, Names(agreement_id="agmt-1")), HEARD)
        assert (row.runs, row.subscribed_at) == (True, LATER), order
