"""Losses: registered by the product, counted by it or by its own system, quoted alike by page and mail."""

import logging
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import translation

from accounts.customers import features, losses, usage
from accounts.customers.features import Feature
from accounts.customers.losses import Loss, Lost, Words
from accounts.models import Account
from tests.factories import NOW

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)

PAGES = Loss(
    "pages",
    "unlimited",
    ahead=Words(
        "Pages become read-only.", lambda count: f"%(count)s page{'s' if count > 1 else ''} will be read-only."
    ),
    now=Words("Pages are read-only.", lambda count: f"%(count)s page{'s' if count > 1 else ''} read-only."),
)


def test_what_a_plan_did_not_grant_is_not_lost(account: Account) -> None:
    with losses.REGISTRY.replaced(PAGES):
        assert losses.of(account, ["something_else"], NOW) == []
        assert losses.of(account, ["unlimited"], NOW) == [Lost(PAGES)]


def test_a_count_that_was_sent_is_quoted_for_48_hours_and_then_the_text_has_no_number(account: Account) -> None:
    usage.note(account, {"pages": 1}, as_of=NOW)
    with losses.REGISTRY.replaced(PAGES):
        [fresh] = losses.of(account, ["unlimited"], NOW + 48 * HOUR - SECOND)
        [stale] = losses.of(account, ["unlimited"], NOW + 48 * HOUR)
    assert (fresh.ahead, fresh.now) == ("1 page will be read-only.", "1 page read-only.")
    assert (stale.ahead, stale.now) == ("Pages become read-only.", "Pages are read-only.")


def test_zero_leaves_the_line_out_while_it_is_fresh(account: Account) -> None:
    usage.note(account, {"pages": 0}, as_of=NOW)
    with losses.REGISTRY.replaced(PAGES):
        assert losses.of(account, ["unlimited"], NOW + HOUR) == []
        assert losses.of(account, ["unlimited"], NOW + 48 * HOUR) == [Lost(PAGES)]


def test_the_count_of_later_wins_whichever_comes_first(account: Account) -> None:
    usage.note(account, {"pages": 7, "drafts": 1}, as_of=NOW + HOUR)
    usage.note(account, {"pages": 5}, as_of=NOW)
    usage.note(account, {"drafts": 2}, as_of=NOW + 2 * HOUR)
    assert usage.fresh(account, NOW + 3 * HOUR) == {"pages": 7, "drafts": 2}


def test_a_number_is_bold_on_pages_and_written_as_the_reader_writes_it(account: Account) -> None:
    lost = Lost(PAGES, 1234)
    assert lost.ahead_in_bold == "<strong>1,234</strong> pages will be read-only."
    with translation.override("fr"):
        assert lost.ahead == "1\u202f234 pages will be read-only."


def test_what_a_product_says_is_escaped_on_pages() -> None:
    loss = Loss("sharp", "unlimited", ahead=Words("<b>", lambda count: "<i>%(count)s"))
    assert Lost(loss).ahead_in_bold == "&lt;b&gt;"
    assert Lost(loss, 2).now_in_bold == "&lt;i&gt;<strong>2</strong>"


def test_a_count_that_fails_takes_nobodys_way_out_and_logs_no_values(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    def count(account: Account) -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 'secret'::integer")
        return 1

    broken = Loss("broken", "unlimited", ahead=PAGES.ahead, count=count)
    whole = Loss("whole", "unlimited", ahead=PAGES.ahead, count=lambda account: 3)
    with losses.REGISTRY.replaced(broken, whole), caplog.at_level(logging.ERROR):
        # The number of the other one is said all the same.
        assert losses.of(account, ["unlimited"], NOW) == [Lost(broken), Lost(whole, 3)]
    assert str(account.pk) in caplog.text
    assert Account.objects.filter(pk=account.pk).exists()  # the transaction goes on


def test_a_mail_of_before_losses_were_registered_says_what_it_would_have_said() -> None:
    lost = losses.told({"infinite_blueprints": 2, "aws_connections": 0, "azure_connections": 3})
    assert [one.ahead for one in lost] == [
        "2 blueprints on the infinite grid become read-only.",
        "The Live view is no longer available.",
        "The resources of 3 Azure connections are no longer updated.",
        "The Bits menu no longer works.",
    ]


def test_a_loss_that_is_registered_no_more_is_left_out_of_mails() -> None:
    facts = {"losses": [{"code": "gone", "count": 4}, {"code": "live", "count": None}]}
    assert [one.ahead for one in losses.told(facts)] == ["The Live view is no longer available."]


def test_a_feature_that_nobody_has_registered_is_called_by_its_code() -> None:
    assert features.named("someday") == Feature("someday", "someday")
    assert features.unknown(["live", "someday"]) == ["someday"]
    with pytest.raises(ValueError, match="1 to 40 characters"):
        Feature("x" * 41, "Too long")
