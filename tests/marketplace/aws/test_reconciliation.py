"""A complete walk finds what was lost, an incomplete one changes nothing, and an error never takes anything away."""

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.checks.breaker import BreakerOpen
from accounts.core import clock
from accounts.jobs import invariants
from accounts.models import Account, User
from marketplace.aws import client, reconciliation
from marketplace.aws.assessment import Ruling, judge
from marketplace.models import AwsAgreement as Row
from marketplace.models import Dimension
from subscriptions.models import Plan
from tests.factories import UserFactory, subscribe
from tests.fakes.aws import Agreement
from tests.marketplace.aws.world import DAY, HOUR, MINUTE, AwsWorld

pytestmark = pytest.mark.django_db


def customers(cloud: AwsWorld, count: int) -> list[tuple[Agreement, Account]]:
    """Purchases that were registered and confirmed days ago."""
    return [cloud.customer(UserFactory(name=f"Customer {number}")) for number in range(count)]


def confirm_twice(cloud: AwsWorld) -> None:
    for _time in range(3):
        cloud.run("aws-check")
        cloud.passes(11 * MINUTE)


def cancel_unheard(cloud: AwsWorld, agreement: Agreement) -> None:
    """The buyer cancels, and no message of it ever comes."""
    cloud.aws.unsubscribe(agreement)
    cloud.aws.finish_unsubscribe(agreement)


def test_a_lost_cancellation_is_found_within_a_day(cloud: AwsWorld) -> None:
    (left, gone), (_stays, there) = customers(cloud, 2)
    cancel_unheard(cloud, left)
    cloud.passes(HOUR)
    cloud.run("aws-reconcile")
    assert cloud.plan(gone) == "pro"
    cloud.run("aws-check")
    assert (cloud.plan(gone), cloud.plan(there)) == ("free", "pro")
    assert cloud.row(left).end_reason == "cancelled"
    assert cloud.mails(gone) == ["marketplace/aws_ended"]


def test_a_lost_purchase_is_found_once_it_is_registered(cloud: AwsWorld, owner: User) -> None:
    happened = cloud.aws.buy(cloud.buyer())
    cloud.aws.fail("marketplace-*", "InternalServiceErrorException", times=1)
    account = cloud.registers(happened.agreement, owner)
    assert cloud.plan(account) == "free"
    cloud.passes(DAY)
    cloud.run("aws-reconcile")
    assert cloud.plan(account) == "pro"


def test_lost_entitlements_are_found(cloud: AwsWorld) -> None:
    ((bought, account),) = customers(cloud, 1)
    cloud.aws.amend(bought, entitlements={"pro_seats": 40})
    cloud.run("aws-reconcile")
    live = cloud.live(account)
    assert live is not None
    assert live.seats == 40


def test_lost_changes_of_the_renewal_are_found(cloud: AwsWorld) -> None:
    ((bought, account),) = customers(cloud, 1)
    for on in (False, True):
        cloud.aws.set_auto_renewal(bought, on)
        cloud.passes(HOUR)
        cloud.run("aws-reconcile")
        assert cloud.row(bought).auto_renewal is on
    assert cloud.kinds(account)[-2:] == ["aws.renewal_off", "aws.renewal_on"]


def test_a_lost_renewal_is_found(cloud: AwsWorld) -> None:
    ((bought, account),) = customers(cloud, 1)
    renewed = cloud.aws.renew(bought).agreement
    cloud.run("aws-reconcile")
    assert cloud.plan(account) == "pro"
    assert cloud.row(renewed).former_ids == sorted([bought.id, bought.license_id])


def test_a_purchase_that_was_replaced_unheard_ends_with_what_it_became(cloud: AwsWorld) -> None:
    ((bought, account),) = customers(cloud, 1)
    replaced = cloud.aws.replace(bought).agreement
    cloud.passes(DAY)
    cancel_unheard(cloud, replaced)
    cloud.passes(HOUR)
    cloud.settles()
    assert cloud.plan(account) == "free"
    row = cloud.row(replaced)
    assert (row.former_ids, row.end_reason) == (sorted([bought.id, bought.license_id]), "cancelled")
    assert cloud.mails(account) == ["marketplace/aws_ended"]


def test_all_pages_are_read_and_empty_ones_with_a_token(cloud: AwsWorld) -> None:
    cloud.aws.page_size, cloud.aws.empty_pages = 2, 2
    pairs = customers(cloud, 7)
    left, _gone = pairs[6]
    cancel_unheard(cloud, left)
    cloud.aws.forget_requests()
    cloud.run("aws-reconcile", "aws-check")
    assert [cloud.plan(account) for _bought, account in pairs] == ["pro"] * 6 + ["free"]
    # Six rows in pages of two, and two empty pages before each.
    assert len([r for r in cloud.aws.requested("marketplace-entitlement.*") if "Filter" not in r.arguments]) == 9


@pytest.mark.parametrize(
    "code",
    [
        "ThrottlingException",
        "InternalServiceErrorException",
        "AccessDeniedException",
        "UnrecognizedClientException",
        "ExpiredTokenException",
    ],
)
@pytest.mark.parametrize("call", ["marketplace-entitlement.GetEntitlements", "marketplace-*"])
def test_an_error_never_takes_anything_away(cloud: AwsWorld, code: str, call: str) -> None:
    ((bought, account),) = customers(cloud, 1)
    cancel_unheard(cloud, bought)
    cloud.aws.fail(call, code, times=None)
    with pytest.raises(client.AwsError):
        cloud.run("aws-reconcile")
    Row.objects.update(check_at=cloud.aws.now)
    confirm_twice(cloud)
    assert cloud.plan(account) == "pro"
    assert cloud.row(bought).absent_since is None
    assert cloud.mails(account) == []


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 503}, {"garbled": True}, {"hang": 0.1}])
def test_an_answer_that_makes_no_sense_takes_nothing_away(cloud: AwsWorld, fault: dict[str, object]) -> None:
    pairs = customers(cloud, 2)
    cloud.aws.fail("marketplace-*", times=None, **fault)  # type: ignore[arg-type]
    with pytest.raises(client.AwsError):
        cloud.run("aws-reconcile")
    Row.objects.update(check_at=cloud.aws.now)
    confirm_twice(cloud)
    assert [cloud.plan(account) for _bought, account in pairs] == ["pro", "pro"]


def test_a_page_that_fails_in_the_middle_changes_nothing(cloud: AwsWorld) -> None:
    pairs = customers(cloud, 3)
    cloud.aws.page_size = 1
    cloud.aws.amend(pairs[0][0], entitlements={"pro_seats": 40})
    cloud.aws.fail("marketplace-agreement.SearchAgreements", "ThrottlingException", skip=2)
    with pytest.raises(client.AwsLimited):
        cloud.run("aws-reconcile")
    live = cloud.live(pairs[0][1])
    assert live is not None
    assert live.seats == 1


def test_nothing_must_be_heard_twice_apart(cloud: AwsWorld) -> None:
    ((bought, account),) = customers(cloud, 1)
    cloud.aws.amend(bought, entitlements={})
    cloud.run("aws-reconcile", "aws-check")
    assert cloud.row(bought).absent_since == cloud.aws.now
    assert cloud.plan(account) == "pro"
    cloud.passes(9 * MINUTE)
    cloud.run("aws-check")
    assert cloud.plan(account) == "pro"
    cloud.passes(MINUTE)
    cloud.run("aws-check")
    assert cloud.plan(account) == "free"


def test_nothing_once_alone_ends_nothing(cloud: AwsWorld) -> None:
    ((bought, account),) = customers(cloud, 1)
    cloud.aws.amend(bought, entitlements={})
    cloud.run("aws-reconcile", "aws-check")
    cloud.aws.amend(bought, entitlements={"pro_seats": 2})
    cloud.settles()
    assert cloud.plan(account) == "pro"
    assert cloud.row(bought).absent_since is None


def test_the_breaker_stops_a_run_that_would_miss_too_many(cloud: AwsWorld) -> None:
    pairs = customers(cloud, 10)
    for bought, _account in pairs[:4]:
        cancel_unheard(cloud, bought)
    with pytest.raises(BreakerOpen, match="4 of 10 customers are missing from AWS's list"):
        cloud.run("aws-reconcile")
    confirm_twice(cloud)
    assert {cloud.plan(account) for _bought, account in pairs} == {"pro"}


def test_a_role_that_sees_entitlements_only_confirms_contracts(cloud: AwsWorld) -> None:
    ((bought, account),) = customers(cloud, 1)
    cloud.aws.fail("marketplace-agreement.*", "AccessDeniedException", times=None)
    cloud.aws.amend(bought, entitlements={"pro_seats": 8})
    cloud.run("aws-reconcile")
    live = cloud.live(account)
    assert live is not None
    assert live.seats == 8


def test_a_sale_by_a_channel_partner_is_in_no_list_of_ours_and_stays(cloud: AwsWorld, owner: User) -> None:
    bought, account = cloud.customer(owner, channel_partner="555566667777")
    cloud.settles()
    assert cloud.plan(account) == "pro"
    cancel_unheard(cloud, bought)
    cloud.passes(HOUR)
    cloud.settles()
    assert cloud.plan(account) == "free"


def test_a_dimension_grants_the_plan_that_staff_map_it_to(cloud: AwsWorld, owner: User) -> None:
    entitlements: dict[str, int | float | bool | str] = {"enterprise": True, "seats": 30, "support": "gold"}
    _bought, account = cloud.customer(owner, entitlements=entitlements)
    assert cloud.plan(account) == "pro"
    unmapped = next(found for found in invariants.warnings(cloud.aws.now) if found.name == "unmapped-dimension")
    assert unmapped.count == 1
    assert sorted(Dimension.objects.values_list("name", flat=True)) == ["enterprise", "seats", "support"]
    for name, plan in {"enterprise": "enterprise", "seats": "enterprise", "support": "free"}.items():
        Dimension.objects.filter(name=name).update(plan=Plan.objects.get(code=plan))
    cloud.run("aws-reconcile")
    live = cloud.live(account)
    assert live is not None
    assert (live.plan_id, live.seats) == ("enterprise", 31)
    assert "unmapped-dimension" not in [found.name for found in invariants.warnings(cloud.aws.now)]


def test_without_product_codes_nothing_is_asked(cloud: AwsWorld, settings: Settings) -> None:
    customers(cloud, 1)
    settings.AWS_PRODUCT_CODES = []
    cloud.aws.forget_requests()
    Row.objects.update(check_at=cloud.aws.now)
    cloud.run("aws-reconcile", "aws-check")
    assert cloud.aws.count() == 0
    assert "aws-credentials" in [found.name for found in invariants.warnings(cloud.aws.now)]


def test_a_throttled_check_waits_and_is_made_up(cloud: AwsWorld) -> None:
    ((bought, account),) = customers(cloud, 1)
    cancel_unheard(cloud, bought)
    Row.objects.update(check_at=cloud.aws.now)
    cloud.aws.fail("marketplace-*", "ThrottlingException")
    cloud.run("aws-check")
    assert cloud.row(bought).check_at == cloud.aws.now + MINUTE
    cloud.passes(MINUTE)
    cloud.run("aws-check")
    assert cloud.plan(account) == "free"


def test_a_check_that_fails_for_hours_is_shown_to_staff(cloud: AwsWorld) -> None:
    ((_bought, account),) = customers(cloud, 1)
    cloud.passes(2 * DAY)
    Row.objects.update(check_at=cloud.aws.now)
    cloud.aws.fail("marketplace-*", "InternalServiceErrorException", times=None)
    for _time in range(3):
        cloud.run("aws-check")
        cloud.passes(HOUR)
    found = next(found for found in invariants.violations(cloud.aws.now) if found.name == "aws-check")
    assert found.count == 1
    assert "InternalServiceErrorException" in Row.objects.get().check_error
    assert cloud.plan(account) == "pro"


def test_the_preview_changes_nothing(cloud: AwsWorld) -> None:
    (left, gone), _other = customers(cloud, 2)
    cancel_unheard(cloud, left)
    assert list(reconciliation.preview(cloud.aws.now)) == [
        f"{gone.pk} {left.id}: to be asked about, AWS's lists say over"
    ]
    assert cloud.row(left).check_at is None
    assert cloud.plan(gone) == "pro"


def test_one_double_purchase_holds_up_nobody_else(cloud: AwsWorld, owner: User) -> None:
    (other, there), (left, gone) = customers(cloud, 2)
    bought = cloud.aws.buy(cloud.buyer()).agreement
    cloud.aws.fail("marketplace-*", "InternalServiceErrorException", times=1)
    account = cloud.registers(bought, owner)
    subscribe(account, at=cloud.aws.now)
    cloud.run("aws-reconcile")
    cloud.aws.amend(other, entitlements={"pro_seats": 40})
    cancel_unheard(cloud, left)
    cloud.passes(HOUR)
    cloud.run("aws-reconcile", "aws-check")
    held_up = Row.objects.get(account=account)
    assert "a double purchase" in held_up.check_error
    live = cloud.live(there)
    assert live is not None
    assert (live.seats, cloud.plan(gone)) == (40, "free")
    for _time in range(4):
        cloud.passes(HOUR)
        cloud.run("aws-reconcile", "aws-check")
    shown = next(found for found in invariants.violations(cloud.aws.now) if found.name == "aws-check")
    assert (shown.count, list(shown.keys)) == (1, [held_up.pk])


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_whatever_one_row_raises_is_noted_on_it_and_the_others_go_on(cloud: AwsWorld) -> None:
    (bought, account), (other, there) = customers(cloud, 2)
    for agreement in (bought, other):
        cloud.aws.amend(agreement, entitlements={"pro_seats": 40})
    # What no code of ours expects: the database refuses the row. Its subscription belongs to another account.
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE marketplace_agreement ADD CONSTRAINT poison CHECK (seats < 40 OR account_id <> %s)",
            [account.pk],
        )
    try:
        cloud.run("aws-reconcile")
        Row.objects.update(check_at=cloud.aws.now)
        cloud.run("aws-check")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE marketplace_agreement DROP CONSTRAINT poison")
    row = cloud.row(bought)
    assert row.check_error.startswith("CheckViolation: ")
    assert (row.check_attempts, row.check_at) == (2, cloud.aws.now + 2 * MINUTE)
    live = cloud.live(there)
    assert live is not None
    assert live.seats == 40


def test_a_purchase_that_a_message_named_meanwhile_is_judged_all_the_same(cloud: AwsWorld) -> None:
    ((bought, account),) = customers(cloud, 1)
    Row.objects.update(agreement_id=None, licence_id=None)
    stale = Row.objects.get()
    answer = reconciliation.walk(cloud.aws.now).of_buyer(stale)
    Row.objects.update(agreement_id=bought.id)
    verdict = judge(stale, answer, cloud.aws.now, beside=Row.objects.filter(account=account))
    assert (verdict.ruling, verdict.held and verdict.held.agreement_id) == (Ruling.RUNS, bought.id)


def test_purchases_that_are_as_aws_says_cost_no_statement_of_their_own(
    cloud: AwsWorld, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    customers(cloud, 6)
    cloud.settles()
    cloud.passes(HOUR)
    with django_assert_max_num_queries(8):
        cloud.run("aws-reconcile")
    assert set(Row.objects.values_list("checked_at", flat=True)) == {cloud.aws.now}


def test_a_walk_that_takes_too_long_ends_with_nothing_changed(cloud: AwsWorld) -> None:
    ((bought, account),) = customers(cloud, 1)
    cloud.aws.amend(bought, entitlements={"pro_seats": 40})
    with pytest.raises(client.AwsUnavailable, match="too slow to be read whole"):
        reconciliation.walk(cloud.aws.now, stop=clock.now())
    live = cloud.live(account)
    assert live is not None
    assert live.seats == 1


def test_a_quantity_of_zero_is_zero(cloud: AwsWorld, owner: User) -> None:
    _bought, account = cloud.customer(owner, entitlements={"pro_seats": 5, "more_seats": 0})
    live = cloud.live(account)
    assert live is not None
    assert live.seats == 5


def test_agreements_of_our_other_products_are_never_taken_for_this_one(cloud: AwsWorld, owner: User) -> None:
    bought, account = cloud.customer(owner)
    other = cloud.aws.product("anothercode", title="Another")
    cloud.aws.buy(bought.buyer, other)
    Row.objects.update(agreement_id=None, licence_id=None, product_id="")
    cancel_unheard(cloud, bought)
    cloud.passes(HOUR)
    cloud.settles()
    assert cloud.plan(account) == "free"
    assert Row.objects.get(account=account).product_id == ""
