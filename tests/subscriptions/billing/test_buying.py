"""An owner sees the plans, is led to the provider's page, and comes back; or is told why not (design, idea 17)."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from io import StringIO

import pytest
import time_machine
from django.core import mail
from django.core.management import call_command
from django.test import Client
from django.utils import translation
from pytest_django import Settings

from accounts.blueprints.models import Grid
from accounts.core import clock
from accounts.customers.entitlements import entitlements_of
from accounts.customers.history import Actor
from accounts.erasure import scheduling
from accounts.erasure.obligation import PurgeCause
from accounts.mail.sending import send_due
from accounts.models import Account, User
from accounts.support import deletion
from accounts.support.requests import RequestKind, ask
from subscriptions.billing import buying
from subscriptions.billing.purchase import Purchase, PurchaseState
from subscriptions.catalogue import set_price
from subscriptions.ending.cancellation import cancel
from subscriptions.ending.settling import settle_due
from subscriptions.models import Channel, Interval, Plan, Subscription
from tests.factories import NOW, AccountFactory, BlueprintFactory, owner_of, subscribe
from tests.pages import forms_on, press
from tests.subscriptions.billing.shop import Shop

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
PLANS = "/user/subscription/plans/"
BOUGHT = "/user/subscription/plans/bought/"
PAYMENT = "/user/subscription/payment/"
SETTINGS = "/user/subscription/"
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def plan_form(client: Client, plan: str = "pro", page: str = PLANS) -> dict[str, str]:
    """What the form of one plan sends, untouched."""
    html = client.get(page).content.decode()
    (form,) = [form for form in forms_on(html, page) if form.hidden.get("plan") == plan]
    return {**form.sent(), "interval": "1"}


def choose(client: Client, plan: str = "pro", **typed: str) -> str:
    """Choose a plan, and return the address of the page on which it is paid."""
    answer = client.post(PLANS, {**plan_form(client, plan), **typed})
    assert answer.status_code == 302, answer.content.decode()
    return answer["Location"]


def ended(account: Account) -> Subscription:
    """A subscription that was over yesterday, with all that follows from it."""
    at = clock.now()
    subscription = subscribe(account, at=at - 60 * DAY, ends_at=at - DAY, seats=3, interval=Interval.ANNUAL)
    settle_due(at)
    return subscription


# What there is.


def test_the_page_shows_what_each_plan_costs_and_brings(account: Account, owner: User, sign_in: SignIn) -> None:
    words = sign_in(owner).get(PLANS).content.decode()
    assert "<strong>$49.00</strong> a month for a seat" in words
    assert "<strong>$490.00</strong> a year for a seat" in words
    assert "Infinite grid" in words
    assert "Free</h2>" not in words


def test_without_a_provider_nothing_can_be_bought_on_the_page(
    account: Account, owner: User, sign_in: SignIn, settings: Settings
) -> None:
    client = sign_in(owner)
    words = client.get(PLANS).content.decode()
    assert "Plans are not sold on this page." in words
    assert forms_on(words.split("<main")[1], PLANS) == []
    settings.BUY_URL = "https://shop.example/plans"
    words = client.get(PLANS).content.decode()
    assert 'href="https://shop.example/plans"' in words
    assert "not sold on this page" not in words
    answer = client.post(PLANS, {"account": str(account.pk), "plan": "pro", "interval": "1", "seats": "1"})
    assert answer.status_code == 409
    assert not Purchase.objects.exists()


def test_a_plan_that_is_sold_no_more_and_a_price_that_has_ended_are_not_offered(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    Plan.objects.filter(code="enterprise").update(retired_at=clock.now() - DAY)
    words = sign_in(owner).get(PLANS).content.decode()
    assert 'value="pro"' in words
    assert 'value="enterprise"' not in words


def test_whoever_comes_back_finds_the_seats_and_the_interval_of_before_and_what_is_then_over(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    BlueprintFactory(account=account, grid=Grid.INFINITE)
    ended(account)
    words = sign_in(owner).get(PLANS).content.decode()
    (form,) = [form for form in forms_on(words, PLANS) if form.hidden.get("plan") == "pro"]
    assert form.fields == {"interval": "12", "seats": "3"}
    assert "Everything you made is still there." in words


# On the way.


def test_an_owner_is_led_to_the_page_where_one_pays(shop: Shop, account: Account, owner: User, sign_in: SignIn) -> None:
    address = choose(sign_in(owner), seats="4")
    purchase = Purchase.objects.get()
    assert address == f"https://pay.shop.example/{purchase.reference}"
    assert (purchase.account, purchase.plan_id, purchase.interval, purchase.seats) == (account, "pro", 1, 4)
    assert (purchase.cents, purchase.currency, purchase.price_reference) == (4900, "USD", "price_pro_1")
    assert (purchase.state, purchase.begun_by) == (PurchaseState.OPEN, owner)
    # It grants nothing.
    assert entitlements_of(account, clock.now()).plan == "free"


def test_the_pages_forms_may_end_on_the_providers_pages_and_on_no_others(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    policy = client.get(PLANS)["Content-Security-Policy"]
    assert "form-action 'self' https://github.com https://pay.shop.example;" in policy + ";"
    assert "pay.shop.example" not in client.get("/user/support/")["Content-Security-Policy"]


def test_a_browser_is_sent_nowhere_but_to_the_providers_own_pages(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    shop.leads_to = "https://pay.shop.example.evil.example"
    client = sign_in(owner)
    answer = client.post(PLANS, plan_form(client))
    assert answer.status_code == 503
    assert "Nothing was charged." in answer.content.decode()


@pytest.mark.parametrize(
    ("typed", "status"),
    [
        ({"seats": "0"}, 422),
        ({"seats": "-1"}, 422),
        ({"seats": "many"}, 422),
        ({"seats": "1000001"}, 422),
        ({"interval": "3"}, 422),
        ({"interval": ""}, 422),
        ({"plan": "free"}, 409),
        ({"plan": "none"}, 409),
        ({"plan": "\x00"}, 409),
    ],
)
def test_what_is_not_sold_is_refused_and_nobody_is_asked(
    typed: dict[str, str], status: int, shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    assert client.post(PLANS, {**plan_form(client), **typed}).status_code == status
    assert shop.calls == []
    assert not Purchase.objects.exists()


def test_nobody_is_sent_to_pay_another_price_than_the_page_showed(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    sent = plan_form(client)
    set_price(Plan.objects.get(code="pro"), interval=Interval.MONTHLY, currency="USD", cents=5900, at=clock.now())
    answer = client.post(PLANS, sent)
    assert answer.status_code == 409
    assert "<strong>$59.00</strong> a month" in answer.content.decode()
    assert not Purchase.objects.exists()


def test_a_provider_that_does_not_answer_is_said_not_to_and_the_same_can_be_tried_again(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    shop.away = True
    answer = client.post(PLANS, plan_form(client))
    assert answer.status_code == 503
    assert "does not answer just now. Nothing was charged." in answer.content.decode()
    shop.away = False
    choose(client)
    assert Purchase.objects.count() == 1


# Two tabs.


def test_two_tabs_with_the_same_choice_lead_to_one_page_and_one_purchase(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    first, second = plan_form(client), plan_form(client)
    assert client.post(PLANS, first)["Location"] == client.post(PLANS, second)["Location"]
    assert Purchase.objects.count() == 1


def test_another_choice_closes_the_page_of_the_first_so_that_only_one_can_be_paid(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    choose(client)
    first = Purchase.objects.get()
    choose(client, seats="2")
    first.refresh_from_db()
    assert first.state == PurchaseState.EXPIRED
    assert shop.sessions[first.reference] == "expired"
    assert Purchase.objects.open().get().seats == 2


def test_a_choice_in_a_second_tab_after_the_first_was_paid_is_refused_in_words(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    second_tab = {**plan_form(client), "seats": "2"}
    choose(client)
    shop.paid.add(Purchase.objects.get().reference)
    answer = client.post(PLANS, second_tab)
    assert answer.status_code == 409
    assert "The account has a Pro subscription already." in answer.content.decode()
    assert Purchase.objects.get().state == PurchaseState.COMPLETED
    assert Subscription.objects.count() == 1


def test_nothing_is_bought_beside_a_payment_that_is_still_being_confirmed(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    choose(client)
    shop.debited.add(Purchase.objects.get().reference)
    answer = client.post(PLANS, {**plan_form(client), "seats": "2"})
    assert answer.status_code == 409
    assert "You have paid already, and the payment is being confirmed." in answer.content.decode()
    assert Purchase.objects.count() == 1


def test_what_another_tab_has_begun_in_the_same_instant_is_not_begun_beside_it(
    shop: Shop, account: Account, owner: User
) -> None:
    offers = {offer.interval: offer for offer in shop.offers(NOW) if offer.plan.pk == "pro"}
    buying.begin(account, offers[Interval.MONTHLY], seats=1, seller=shop, by=owner, at=NOW)
    with pytest.raises(buying.AnotherTab):
        buying.begin(account, offers[Interval.ANNUAL], seats=1, seller=shop, by=owner, at=NOW)


def test_a_page_that_is_about_to_close_is_not_handed_out_again(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    with time_machine.travel(clock.now(), tick=False) as traveller:
        choose(client)
        traveller.shift(buying.OPEN_FOR - buying.NEARLY_OVER)
        choose(client)
    states = list(Purchase.objects.order_by("pk").values_list("state", flat=True))
    assert states == [PurchaseState.EXPIRED, PurchaseState.OPEN]


# What stands in the way.


def by_marketplace(channel: Channel) -> Callable[[Account], None]:
    def held(account: Account) -> None:
        subscribe(account, at=clock.now() - DAY, channel=channel)

    return held


def by_a_contract(account: Account) -> None:
    at = clock.now()
    subscribe(account, at=at - DAY, channel=Channel.DATADOG_SALES, ends_at=at + 300 * DAY, interval=Interval.ANNUAL)


def by_a_contract_ahead(account: Account) -> None:
    at = clock.now()
    subscribe(
        account,
        at=at,
        channel=Channel.DATADOG_SALES,
        starts_at=at + 10 * DAY,
        ends_at=at + 300 * DAY,
        interval=Interval.ANNUAL,
    )


def by_a_subscription(account: Account) -> None:
    subscribe(account, at=clock.now() - DAY)


def by_a_cancelled_subscription(account: Account) -> None:
    subscription = subscribe(account, at=clock.now() - DAY)
    cancel(subscription, by=owner_of(subscription), at=clock.now())


def by_a_deletion_that_was_asked_for(account: Account) -> None:
    owner = account.owner()
    assert owner is not None
    ask(account, kind=RequestKind.DELETION, message="", by=Actor.owner(owner), at=clock.now())


def by_a_deletion_that_is_approved(account: Account) -> None:
    by_a_deletion_that_was_asked_for(account)
    at = clock.now()
    scheduling.schedule(
        account,
        cause=PurgeCause.CUSTOMER_REQUEST,
        received_at=at,
        due_at=at + 7 * DAY,
        deadline_at=at + 30 * DAY,
        at=at,
        by=Actor.system(),
    )


IN_THE_WAY: dict[str, tuple[Callable[[Account], None], str, str]] = {
    "AWS Marketplace": (
        by_marketplace(Channel.AWS_MARKETPLACE),
        "The account is billed by AWS Marketplace.",
        SETTINGS,
    ),
    "GitHub Marketplace": (
        by_marketplace(Channel.GITHUB_MARKETPLACE),
        "The account is billed by GitHub Marketplace.",
        SETTINGS,
    ),
    "a contract": (by_a_contract, "The account has a Pro contract until ", SETTINGS),
    "a contract ahead": (by_a_contract_ahead, "A Pro subscription is to begin on ", "/user/support/"),
    "a subscription": (by_a_subscription, "The account has a Pro subscription already.", SETTINGS),
    "a cancelled one": (by_a_cancelled_subscription, "Until then you can keep it as it is", SETTINGS),
    "a deletion asked for": (
        by_a_deletion_that_was_asked_for,
        "You have asked for this account and all its data to be deleted.",
        "/user/support/",
    ),
    "a deletion approved": (
        by_a_deletion_that_is_approved,
        "The account and all its data are to be deleted from ",
        "/user/support/",
    ),
}


@pytest.mark.parametrize("what", IN_THE_WAY)
def test_nothing_is_sold_while_something_holds_the_account_and_the_page_says_what_and_where_to_go_on(
    what: str, shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    held, said, leads_to = IN_THE_WAY[what]
    client = sign_in(owner)
    sent = plan_form(client)
    held(account)
    page = client.get(PLANS).content.decode()
    assert said in page
    assert f'href="{leads_to}?account={account.pk}"' in page
    assert forms_on(page.split("<main")[1], PLANS) == []
    # From a page that was opened before, too.
    answer = client.post(PLANS, sent)
    assert answer.status_code == 409
    assert said in answer.content.decode()
    assert shop.calls == []
    assert not Purchase.objects.exists()


def test_a_deletion_that_was_called_off_stands_in_nobodys_way(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    by_a_deletion_that_was_asked_for(account)
    deletion.call_off(account, by=Actor.owner(owner), at=clock.now())
    choose(sign_in(owner))


def test_nothing_is_sold_to_whom_is_being_erased(shop: Shop, account: Account, owner: User, sign_in: SignIn) -> None:
    client = sign_in(owner)
    sent = plan_form(client)
    Account.objects.filter(pk=account.pk).update(purging_at=clock.now())
    assert client.get(PLANS).status_code == 403
    assert client.post(PLANS, sent).status_code == 403
    assert shop.calls == []


def test_another_account_of_the_same_owner_buys_for_itself(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    other = AccountFactory(name="Southgate", owner=owner)
    subscribe(account, at=clock.now() - DAY)
    client = sign_in(owner)
    sent = plan_form(client, page=f"{PLANS}?account={other.pk}")
    # Another tab puts the first account in front.
    client.post("/user/account/", {"account": str(account.pk)})
    assert client.post(PLANS, sent).status_code == 302
    assert Purchase.objects.get().account == other


# And back.


def back(client: Client, purchase: Purchase) -> str:
    answer = client.get(f"{BOUGHT}?account={purchase.account_id}&purchase={purchase.reference}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_whoever_comes_back_and_has_paid_is_on_the_plan(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    choose(client, seats="2")
    purchase = Purchase.objects.get()
    shop.paid.add(purchase.reference)
    words = back(client, purchase)
    assert "You are on Pro" in words
    assert "Welcome back" not in words
    assert entitlements_of(account, clock.now()).plan == "pro"
    # Opening the page again changes nothing.
    assert "You are on Pro" in back(client, purchase)
    assert shop.calls.count(f"confirm {purchase.reference}") == 1


def test_coming_back_after_the_end_brings_everything_back_and_lifts_read_only(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    blueprint = BlueprintFactory(account=account, grid=Grid.INFINITE, name="Data lake")
    ended(account)
    client = sign_in(owner)
    page = f"/blueprints/{blueprint.pk}/"
    assert "This blueprint is read-only" in client.get(page).content.decode()
    choose(client)
    purchase = Purchase.objects.get()
    shop.paid.add(purchase.reference)
    assert "Welcome back. Everything you made is there" in back(client, purchase)
    assert "This blueprint is read-only" not in client.get(page).content.decode()
    assert press(client, page, name="Edited again").status_code == 302
    blueprint.refresh_from_db()
    assert (blueprint.name, blueprint.grid) == ("Edited again", Grid.INFINITE)


def test_the_address_bar_convinces_nobody(shop: Shop, account: Account, owner: User, sign_in: SignIn) -> None:
    client = sign_in(owner)
    choose(client)
    words = back(client, Purchase.objects.get())
    assert "nothing has been charged so far" in words
    assert entitlements_of(account, clock.now()).plan == "free"


def test_a_bank_debit_is_said_to_be_confirmed_later_and_begins_when_it_is(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    """The session completes an hour later; nobody is looking, and no message came."""
    client = sign_in(owner)
    choose(client)
    purchase = Purchase.objects.get()
    shop.debited.add(purchase.reference)
    words = back(client, purchase)
    assert "Your payment is being confirmed" in words
    assert "nothing more to pay" in words
    later = clock.now() + timedelta(hours=1)
    assert buying.confirm_due(later) == 0
    shop.debited.clear()
    shop.paid.add(purchase.reference)
    assert buying.confirm_due(later + buying.LOOK_AGAIN) == 1
    assert Subscription.objects.get().plan_id == "pro"
    with time_machine.travel(later + timedelta(hours=1)):
        assert "You are on Pro" in back(client, purchase)


def test_whoever_comes_back_while_the_provider_does_not_answer_is_told_not_to_pay_again(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    choose(client)
    shop.away = True
    words = back(client, Purchase.objects.get())
    assert "Please do not pay again." in words
    assert "You are on" not in words
    assert Purchase.objects.get().state == PurchaseState.OPEN


def test_a_purchase_that_nobody_paid_is_closed_by_the_sweep_and_said_to_be_nothing(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    choose(client)
    assert buying.confirm_due(clock.now() + buying.OPEN_FOR) == 1
    purchase = Purchase.objects.get()
    assert purchase.state == PurchaseState.EXPIRED
    words = back(client, purchase)
    assert "Nothing was bought" in words
    assert "nothing was charged" in words


def test_a_provider_that_is_away_loses_no_purchase(shop: Shop, account: Account, owner: User, sign_in: SignIn) -> None:
    choose(sign_in(owner))
    purchase = Purchase.objects.get()
    shop.paid.add(purchase.reference)
    shop.away = True
    at = clock.now() + 10 * MINUTE
    assert buying.confirm_due(at) == 0
    purchase.refresh_from_db()
    assert (purchase.attempts, purchase.state) == (1, PurchaseState.OPEN)
    assert list(buying.INVARIANTS[0].violations(at + 2 * DAY)) == [purchase]
    shop.away = False
    assert buying.confirm_due(at + DAY) == 1
    assert Subscription.objects.count() == 1


def test_a_purchase_that_resists_harms_no_other_says_why_and_is_named_by_doctor(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    choose(sign_in(owner))
    bad = Purchase.objects.get()
    Purchase.objects.update(provider="gone")
    other = AccountFactory()
    good = buying.begin(other, shop.offers(NOW)[0], seats=1, seller=shop, by=owner, at=clock.now())
    shop.paid.add(good.reference)
    assert buying.confirm_due(clock.now() + 10 * MINUTE) == 1
    bad.refresh_from_db()
    assert "Our payment provider does not answer" in bad.last_error
    out = StringIO()
    with time_machine.travel(clock.now() + 3 * DAY), suppress(SystemExit):
        call_command("doctor", stdout=out)
    assert "purchases of which the payment provider has not said" in out.getvalue()
    assert bad.reference in out.getvalue()


@pytest.mark.parametrize("lie", ["nothing", "nonsense", "a stranger's"])
@pytest.mark.parametrize("door", [PLANS, PAYMENT])
def test_a_form_that_names_no_account_of_ones_own_leads_nowhere(
    door: str, lie: str, shop: Shop, account: Account, owner: User, stranger: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    sent = plan_form(client)
    del sent["account"]
    if lie != "nothing":
        sent["account"] = "'; DROP" if lie == "nonsense" else str(stranger.accounts.get().pk)
    answer = client.post(door, sent)
    assert answer.status_code == 409
    assert "the form did not say which of your accounts it is about" in answer.content.decode()
    assert shop.calls == []


@pytest.mark.parametrize("named", ["", "BUY-0000-0000", "é", "x" * 300])
def test_an_address_that_names_no_purchase_is_not_found(
    named: str, shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    assert sign_in(owner).get(BOUGHT, {"purchase": named}).status_code == 404


def test_the_purchase_of_another_account_does_not_exist_for_its_reader(
    shop: Shop, account: Account, owner: User, stranger: User, sign_in: SignIn
) -> None:
    choose(sign_in(owner))
    purchase = Purchase.objects.get()
    shop.paid.add(purchase.reference)
    theirs = sign_in(stranger)
    assert theirs.get(BOUGHT, {"purchase": purchase.reference}).status_code == 404
    assert theirs.get(BOUGHT, {"purchase": purchase.reference, "account": str(account.pk)}).status_code == 404
    assert not Subscription.objects.exists()


# Card and invoices.


def test_the_owner_is_led_to_card_and_invoices_and_back(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    choose(client)
    purchase = Purchase.objects.get()
    shop.paid.add(purchase.reference)
    back(client, purchase)
    answer = press(client, SETTINGS, PAYMENT)
    assert answer.status_code == 302
    assert answer["Location"] == f"https://pay.shop.example/portal/{account.pk}"
    assert shop.calls[-1] == f"portal http://testserver{SETTINGS}?account={account.pk}"
    assert "https://pay.shop.example" in client.get(SETTINGS)["Content-Security-Policy"]


def test_a_member_is_shown_no_way_to_the_card(
    shop: Shop, account: Account, owner: User, member: User, sign_in: SignIn
) -> None:
    subscription = subscribe(account, at=clock.now() - DAY)
    Subscription.objects.filter(pk=subscription.pk).update(
        held_by="shop", period_started_at=clock.now() - DAY, period_ends_at=clock.now() + 29 * DAY
    )
    assert PAYMENT in sign_in(owner).get(SETTINGS).content.decode()
    assert PAYMENT not in sign_in(member).get(SETTINGS).content.decode()


def test_who_is_billed_by_nobody_has_no_page_with_a_card(
    shop: Shop, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    assert PAYMENT not in client.get(SETTINGS).content.decode()
    assert client.post(PAYMENT, {"account": str(account.pk)}).status_code == 409


# Every text that says "subscribe again".


def test_where_owners_buy_here_every_text_about_subscribing_again_leads_to_the_plans(
    shop: Shop, account: Account, owner: User, member: User, sign_in: SignIn, settings: Settings
) -> None:
    settings.BUY_URL = "https://shop.example/plans"
    ended(account)
    blueprint = BlueprintFactory(account=account, grid=Grid.INFINITE)
    pages = [SETTINGS, f"/blueprints/{blueprint.pk}/", f"/blueprints/{blueprint.pk}/live/"]
    link = f'href="{PLANS}?account={account.pk}"'
    for page in [*pages, "/user/subscription/cancellation/"]:
        words = sign_in(owner).get(page).content.decode()
        assert link in words, page
        assert "https://shop.example" not in words, page
    for page in pages:
        assert link not in sign_in(member).get(page).content.decode(), page
    send_due(clock.now())
    (mailed,) = [message for message in mail.outbox if "has ended" in message.subject]
    assert f"http://testserver{PLANS}?account={account.pk}" in str(mailed.body)


def test_the_page_speaks_french(shop: Shop, account: Account, owner: User, sign_in: SignIn) -> None:
    owner.language = "fr"
    owner.save()
    ended(account)
    with translation.override("fr"):
        words = sign_in(owner).get(PLANS).content.decode()
    assert "Ce qu’il comprend" in words
