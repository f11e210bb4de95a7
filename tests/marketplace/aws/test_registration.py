"""A buyer comes from AWS with a token, and ends up with an account: with nobody else's, and only with what AWS says."""

import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.cache.backends.locmem import LocMemCache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from accounts.core import clock
from accounts.models import Account, Membership, Role, User
from accounts.signing_in.addresses import is_proven
from config.cache import Cache
from marketplace.aws import registration, token_limits
from marketplace.aws.registration import Expired, Registration, TakenByAnother
from marketplace.models import AwsAgreement as Row
from subscriptions.models import Channel, Subscription
from tests.factories import PASSWORD, AccountFactory, UserFactory, subscribe
from tests.fakes.aws import Agreement
from tests.marketplace.aws.world import DAY, HOUR, MINUTE, REGISTER, AwsWorld, lands

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
LINK, JOIN = f"{REGISTER}link/", f"{REGISTER}join/"
NEWCOMER = {
    "name": "Nora New",
    "account_name": "New Harbour",
    "email": "Nora@New.example",
    "password": "a long and quiet sentence",
}


@pytest.fixture(autouse=True)
def today(cloud: AwsWorld) -> None:
    """Pages read the clock; AWS keeps the same time."""
    cloud.aws.now = clock.now()


@pytest.fixture
def bought(cloud: AwsWorld) -> Agreement:
    """A purchase that AWS has told of."""
    return cloud.hears(cloud.aws.buy(cloud.buyer(), entitlements={"pro_seats": 5}))


def arrive(client: Client, form: dict[str, str]) -> str:
    """Post AWS's form without cookies, then follow the answer in the buyer's own browser. Returns the page."""
    answer = lands(form)
    assert answer.status_code == 303
    assert not answer.cookies
    page = client.get(answer["Location"], follow=True)
    assert page.redirect_chain == [(REGISTER, 302)]
    text: str = page.content.decode()
    return text


def send(client: Client, door: str, choice: dict[str, str], **options: Any) -> Any:
    """Send a form of the registration that this browser has taken over."""
    return client.post(door, {"shown": str(client.session.get("aws_registration", "")), **choice}, **options)


def told(answer: Any) -> str:
    text: str = answer.content.decode()
    return text


def test_a_newcomer_gets_a_person_an_account_and_what_was_bought(cloud: AwsWorld, bought: Agreement) -> None:
    client = Client()
    page = arrive(client, cloud.aws.registration_form(bought))
    assert f"AWS confirms a purchase by the AWS account {bought.buyer.account_id}" in page
    assert "support@blueprints.example" in page
    answer = send(client, JOIN, NEWCOMER, follow=True)
    assert "Your purchase is linked to New Harbour." in told(answer)
    user = User.objects.get(email="nora@new.example")
    assert user.check_password(NEWCOMER["password"])
    account = Account.objects.get()
    assert account.owner() == user
    live = Subscription.objects.get()
    assert (live.account, live.channel, live.seats) == (account, Channel.AWS_MARKETPLACE, 5)
    assert client.get("/user/subscription/").status_code == 200


def test_somebody_known_signs_in_and_chooses_the_account(
    cloud: AwsWorld, bought: Agreement, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = Client()
    assert f"/auth/login/?next={REGISTER}" in arrive(client, cloud.aws.registration_form(bought))
    client.post("/auth/login/", {"login": owner.email, "password": PASSWORD, "next": REGISTER})
    page = told(client.get(REGISTER))
    assert "Link this purchase to Harbour" in page
    assert "Linked" not in page
    send(client, LINK, {"account": str(account.pk)})
    assert cloud.row(bought).account == account
    cloud.passes(MINUTE)
    assert cloud.plan(account) == "pro"


def test_the_landing_works_for_somebody_who_is_signed_in_too(
    cloud: AwsWorld, bought: Agreement, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    assert "Link this purchase to Harbour" in arrive(client, cloud.aws.registration_form(bought))


def test_a_purchase_gets_a_new_account_where_the_old_one_is_paid_for(
    cloud: AwsWorld, bought: Agreement, account: Account, owner: User, sign_in: SignIn
) -> None:
    subscribe(account, at=clock.now())
    client = sign_in(owner)
    page = arrive(client, cloud.aws.registration_form(bought))
    assert "Link this purchase to Harbour" not in page
    assert 'value="Harbour (2)"' in page
    assert send(client, LINK, {"account": str(account.pk)}).status_code == 409
    send(client, LINK, {"name": "Harbour (2)"})
    linked = cloud.row(bought).account
    assert linked is not None
    assert (linked.name, linked.owner(), linked == account) == ("Harbour (2)", owner, False)
    assert Subscription.objects.of(account).get().channel == Channel.DIRECT


def test_a_free_trial_is_said_to_be_one(cloud: AwsWorld, owner: User, account: Account, sign_in: SignIn) -> None:
    trial_ends_at = cloud.aws.now + 14 * DAY
    trial = cloud.hears(cloud.aws.buy(cloud.buyer(), trial_ends_at=trial_ends_at))
    client = sign_in(owner)
    form = cloud.aws.registration_form(trial)
    assert form["x-amzn-marketplace-offer-type"] == "free-trial"
    assert "AWS confirms a free trial" in arrive(client, form)
    send(client, LINK, {"account": str(account.pk)})
    row = cloud.row(trial)
    assert (row.on_trial, row.trial_ends_at) == (True, trial_ends_at)
    assert "Free trial" in told(client.get("/user/subscription/"))
    cloud.passes(MINUTE)
    assert cloud.plan(account) == "pro"


def test_nothing_is_granted_before_aws_says_that_it_runs(
    cloud: AwsWorld, account: Account, owner: User, sign_in: SignIn
) -> None:
    happened = cloud.aws.buy(cloud.buyer())  # told of later
    client = sign_in(owner)
    form = cloud.aws.registration_form(happened.agreement)
    arrive(client, form)
    cloud.aws.fail("marketplace-entitlement.*", "InternalServiceErrorException", times=None)
    page = told(send(client, LINK, {"account": str(account.pk)}, follow=True))
    assert "AWS has not confirmed it yet" in page
    assert "AWS has not confirmed your purchase yet" in page
    assert cloud.plan(account) == "free"
    cloud.hears(happened)
    assert cloud.plan(account) == "pro"


def test_registering_before_any_message_is_confirmed_by_asking(
    cloud: AwsWorld, account: Account, owner: User, sign_in: SignIn
) -> None:
    happened = cloud.aws.buy(cloud.buyer())
    client = sign_in(owner)
    arrive(client, cloud.aws.registration_form(happened.agreement))
    send(client, LINK, {"account": str(account.pk)})
    cloud.passes(MINUTE)
    assert cloud.plan(account) == "pro"
    cloud.hears(happened)
    assert Row.objects.count() == 1
    assert Subscription.objects.count() == 1


def test_a_replay_by_another_person_is_refused(
    cloud: AwsWorld, bought: Agreement, account: Account, owner: User, stranger: User, sign_in: SignIn
) -> None:
    form = cloud.aws.registration_form(bought)
    client, other = sign_in(owner), sign_in(stranger)
    arrive(client, form)
    send(client, LINK, {"account": str(account.pk)})
    before = (Account.objects.count(), Row.objects.count(), Registration.objects.exclude(used_at=None).count())
    # The same token, posted by somebody else: AWS answers it all the same.
    answer = other.get(lands(form)["Location"], follow=True)
    assert answer.status_code == 409
    assert "This purchase is already linked" in told(answer)
    assert "Harbour" not in told(answer).replace("Blueprints", "")
    assert send(other, LINK, {"name": "Mine now"}).status_code == 409
    assert send(other, LINK, {"account": str(account.pk)}).status_code == 409
    assert before == (Account.objects.count(), Row.objects.count(), Registration.objects.exclude(used_at=None).count())
    assert cloud.row(bought).account == account


def test_a_replay_by_the_same_person_is_harmless(
    cloud: AwsWorld, bought: Agreement, account: Account, owner: User, sign_in: SignIn
) -> None:
    form = cloud.aws.registration_form(bought)
    client = sign_in(owner)
    for _time in range(2):
        arrive(client, form)
        for _press in range(2):
            assert send(client, LINK, {"account": str(account.pk)}).status_code == 302
    assert "Linked to Harbour" in told(client.get(REGISTER))
    assert Subscription.objects.count() == 1
    assert account.events.filter(kind="aws.registered").count() == 1


def test_an_anonymous_replay_is_asked_to_sign_in_and_shown_nothing(
    cloud: AwsWorld, bought: Agreement, account: Account, owner: User
) -> None:
    cloud.registers(bought, owner, account_id=account.pk)
    client = Client()
    page = arrive(client, cloud.aws.registration_form(bought))
    assert "linked to an account already" in page
    assert "Harbour" not in page
    assert send(client, JOIN, NEWCOMER).status_code == 409
    assert not User.objects.filter(email="nora@new.example").exists()


def test_the_key_works_once_and_belongs_to_the_first_browser(cloud: AwsWorld, bought: Agreement) -> None:
    address = lands(cloud.aws.registration_form(bought))["Location"]
    first, second = Client(), Client()
    assert first.get(address).status_code == 302
    assert first.get(address).status_code == 302
    assert second.get(address).status_code == 410
    assert "come here from your AWS account" in told(second.get(REGISTER))
    assert send(second, JOIN, NEWCOMER).status_code == 410
    assert not User.objects.filter(email="nora@new.example").exists()


def test_the_aws_account_is_never_taken_from_the_browser(
    cloud: AwsWorld, bought: Agreement, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    lie = {"CustomerAWSAccountId": "999999999999", "aws_account_id": "999999999999", "product_code": "other"}
    arrive(client, {**cloud.aws.registration_form(bought), **lie})
    send(client, LINK, {"account": str(account.pk), **lie})
    assert cloud.row(bought).aws_account_id == bought.buyer.account_id


def test_an_address_that_is_taken_must_sign_in(cloud: AwsWorld, bought: Agreement, owner: User) -> None:
    client = Client()
    arrive(client, cloud.aws.registration_form(bought))
    answer = send(client, JOIN, {**NEWCOMER, "email": "OWNER@example.org"})
    assert answer.status_code == 422
    assert "please sign in instead" in told(answer)
    assert not Row.objects.registered().exists()


@pytest.mark.parametrize(
    "change",
    [{"password": "short"}, {"email": "nobody"}, {"name": ""}, {"account_name": ""}, {"password": "nora@new.example"}],
)
def test_a_form_that_is_not_filled_in_creates_nothing(
    cloud: AwsWorld, bought: Agreement, change: dict[str, str]
) -> None:
    client = Client()
    arrive(client, cloud.aws.registration_form(bought))
    assert send(client, JOIN, {**NEWCOMER, **change}).status_code == 422
    assert not User.objects.exists()
    assert not Account.objects.exists()


def test_linking_needs_a_form_of_ours(cloud: AwsWorld, bought: Agreement, account: Account, owner: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    arrive(client, cloud.aws.registration_form(bought))
    assert send(client, LINK, {"account": str(account.pk)}).status_code == 403
    assert send(client, JOIN, NEWCOMER).status_code == 403
    assert not Row.objects.registered().exists()


@pytest.mark.parametrize(
    "form", [{}, {"x-amzn-marketplace-token": "nonsense"}, {"x-amzn-marketplace-token": "x" * 9000}]
)
def test_an_invalid_token_is_told_kindly(cloud: AwsWorld, form: dict[str, str]) -> None:
    answer = lands(form)
    assert answer.status_code == 400
    page = told(answer)
    assert "AWS Marketplace does not know this registration" in page
    assert "https://console.aws.amazon.com/marketplace" in page
    assert "Manage subscriptions" in page
    assert "support@blueprints.example" in page
    assert not Registration.objects.exists()


def test_an_expired_token_is_told_kindly(cloud: AwsWorld, bought: Agreement) -> None:
    form = cloud.aws.registration_form(bought)
    cloud.passes(4 * HOUR)
    answer = lands(form)
    assert answer.status_code == 410
    assert "This registration has expired" in told(answer)
    assert "https://console.aws.amazon.com/marketplace" in told(answer)
    assert not Registration.objects.exists()


def test_a_registration_that_is_finished_too_late_is_refused(
    cloud: AwsWorld, bought: Agreement, account: Account, owner: User, sign_in: SignIn
) -> None:
    client = sign_in(owner)
    arrive(client, cloud.aws.registration_form(bought))
    Registration.objects.update(resolved_at=clock.now() - 5 * HOUR, expires_at=clock.now() - HOUR)
    assert client.get(REGISTER).status_code == 410
    assert send(client, LINK, {"account": str(account.pk)}).status_code == 410
    assert not Row.objects.registered().exists()


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "InternalServiceErrorException", "DisabledApiException", "AccessDeniedException"]
)
def test_when_aws_does_not_answer_the_buyer_is_asked_to_try_again(
    cloud: AwsWorld, bought: Agreement, code: str
) -> None:
    form = cloud.aws.registration_form(bought)
    cloud.aws.fail("meteringmarketplace.ResolveCustomer", code)
    answer = lands(form)
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    assert "AWS did not answer" in told(answer)
    assert not Registration.objects.exists()
    assert lands(form).status_code == 303


def test_our_own_expired_credentials_are_not_the_buyers_fault(cloud: AwsWorld, bought: Agreement) -> None:
    cloud.aws.fail(
        "meteringmarketplace.ResolveCustomer",
        status=400,
        body=b'{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}',
    )
    assert lands(cloud.aws.registration_form(bought)).status_code == 503


def test_a_purchase_of_another_product_is_refused(cloud: AwsWorld, settings: Settings) -> None:
    other = cloud.aws.product("otherproduct0000000000000")
    bought = cloud.aws.buy(cloud.buyer(), product=other).agreement
    answer = lands(cloud.aws.registration_form(bought))
    assert answer.status_code == 400
    assert "is of another product" in told(answer)
    assert not Registration.objects.exists()


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("names_agreements", [True, False])
@pytest.mark.parametrize("first", [0, 1])
def test_two_purchases_by_one_aws_account_are_two_and_ending_one_leaves_the_other(
    cloud: AwsWorld, owner: User, old: bool, names_agreements: bool, first: int
) -> None:
    cloud.aws.names_agreements = names_agreements
    buyer = cloud.buyer(old=old)
    pair = [cloud.hears(cloud.aws.buy(buyer)) for _purchase in range(2)]
    accounts = [cloud.registers(agreement, owner) for agreement in pair]
    assert accounts[0] != accounts[1]
    assert accounts[1].name == f"{accounts[0].name} (2)"
    for _day in range(2):
        cloud.passes(DAY)
        cloud.run("aws-check")
    assert [cloud.row(agreement).account for agreement in pair] == accounts
    cloud.hears(cloud.aws.unsubscribe(pair[first]))
    cloud.passes(HOUR)
    cloud.hears(cloud.aws.finish_unsubscribe(pair[first]))
    cloud.settles()
    assert [cloud.plan(account) for account in accounts] == (["free", "pro"] if first == 0 else ["pro", "free"])
    assert cloud.mails(accounts[1 - first]) == []


def test_deactivated_accounts_and_those_being_erased_are_not_offered(
    cloud: AwsWorld, bought: Agreement, owner: User, account: Account
) -> None:
    off, going = AccountFactory(name="Off", owner=owner), AccountFactory(name="Going", owner=owner)
    member = AccountFactory(name="Theirs")
    Membership.objects.create(account=member, user=owner, role=Role.ADMIN)
    Account.objects.filter(pk=off.pk).update(deactivated_at=clock.now())
    Account.objects.filter(pk=going.pk).update(purging_at=clock.now())
    assert registration.accounts_to_choose(owner, clock.now()) == [account]
    found = registration.resolve(cloud.aws.registration_token(bought), on_trial=False, at=clock.now())
    for refused in (off, going, member):
        with pytest.raises(registration.AccountNotOffered):
            registration.finish(found, by=owner, account_id=refused.pk, at=clock.now())
    assert not Row.objects.registered().exists()


def test_a_purchase_that_has_ended_is_linked_and_grants_nothing(
    cloud: AwsWorld, owner: User, bought: Agreement
) -> None:
    token = cloud.aws.registration_token(bought)
    cloud.hears(cloud.aws.unsubscribe(bought))
    cloud.passes(HOUR)
    cloud.hears(cloud.aws.finish_unsubscribe(bought))
    cloud.passes(HOUR)
    found = registration.resolve(token, on_trial=False, at=cloud.aws.now)
    account, _row = registration.finish(found, by=owner, at=cloud.aws.now)
    cloud.settles()
    assert cloud.plan(account) == "free"


def test_registrations_that_nobody_finishes_are_forgotten(cloud: AwsWorld, owner: User, bought: Agreement) -> None:
    cloud.registers(bought, owner)
    registration.resolve(cloud.aws.registration_token(bought), on_trial=False, at=cloud.aws.now)
    cloud.passes(8 * DAY)
    cloud.run("aws-reconcile")
    assert Registration.objects.get().used_by == owner


def test_purchases_that_ended_without_a_registration_are_forgotten(cloud: AwsWorld, owner: User) -> None:
    ended, runs = (cloud.hears(cloud.aws.buy(cloud.buyer(old=False))) for _purchase in range(2))
    cloud.hears(cloud.aws.unsubscribe(ended))
    cloud.passes(HOUR)
    cloud.hears(cloud.aws.finish_unsubscribe(ended))
    cloud.passes(HOUR)
    cloud.run("aws-check")
    cloud.passes(89 * DAY)
    cloud.run("aws-reconcile")
    assert Row.objects.count() == 2
    cloud.passes(2 * DAY)
    cloud.run("aws-reconcile")
    assert Row.objects.get() == cloud.row(runs)


def test_once_used_by_one_it_is_refused_to_another_even_beside(
    cloud: AwsWorld, bought: Agreement, owner: User, stranger: User
) -> None:
    found = registration.resolve(cloud.aws.registration_token(bought), on_trial=False, at=cloud.aws.now)
    account, _row = registration.finish(found, by=owner, at=cloud.aws.now)
    with pytest.raises(TakenByAnother):
        registration.finish(found, by=stranger, at=cloud.aws.now)
    # A member of the account who comes with a token of their own is welcome.
    colleague = UserFactory()
    Membership.objects.create(account=account, user=colleague, role=Role.USER)
    later = registration.resolve(cloud.aws.registration_token(bought), on_trial=False, at=cloud.aws.now)
    assert registration.finish(later, by=colleague, at=cloud.aws.now)[0] == account
    fresh = registration.resolve(cloud.aws.registration_token(bought), on_trial=False, at=cloud.aws.now)
    with pytest.raises(Expired):
        registration.finish(fresh, by=colleague, at=cloud.aws.now + registration.VALID_FOR)


def test_without_credentials_the_buyer_is_asked_to_try_again(cloud: AwsWorld, bought: Agreement) -> None:
    form = cloud.aws.registration_form(bought)
    cloud.aws.fail("meteringmarketplace.*", "UnrecognizedClientException")
    assert lands(form).status_code == 503


# What anybody can send

RESOLVE = "meteringmarketplace.ResolveCustomer"


def invented(number: int) -> dict[str, str]:
    return {"x-amzn-marketplace-token": f"invented-{number}"}


def test_forty_invented_tokens_make_ten_calls(cloud: AwsWorld, bought: Agreement) -> None:
    cloud.aws.forget_requests()
    answered = [lands(invented(number)).status_code for number in range(40)]
    assert answered == [400] * 10 + [429] * 30
    assert cloud.aws.count(RESOLVE) == 10
    # Who comes from elsewhere is listened to.
    elsewhere = Client(REMOTE_ADDR="203.0.113.7")
    assert lands(cloud.aws.registration_form(bought), elsewhere).status_code == 303


def test_a_token_that_was_refused_is_not_asked_about_again(cloud: AwsWorld) -> None:
    cloud.aws.forget_requests()
    assert [lands(invented(1)).status_code for _time in range(30)] == [400] * 30
    assert cloud.aws.count(RESOLVE) == 1


def test_good_tokens_are_never_too_many(cloud: AwsWorld, bought: Agreement) -> None:
    answered = {lands(cloud.aws.registration_form(bought)).status_code for _time in range(15)}
    assert answered == {303}


def test_as_many_calls_as_may_wait_for_aws_and_no_more(cloud: AwsWorld, bought: Agreement) -> None:
    with ExitStack() as waiting:
        for _call in range(token_limits.MOST_AT_ONCE):
            waiting.enter_context(token_limits.slot())
        cloud.aws.forget_requests()
        assert lands(cloud.aws.registration_form(bought)).status_code == 503
        assert cloud.aws.count(RESOLVE) == 0
    assert lands(cloud.aws.registration_form(bought)).status_code == 303


def test_files_are_not_taken_however_large(
    cloud: AwsWorld, bought: Agreement, settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    settings.FILE_UPLOAD_TEMP_DIR = str(folder)
    form = cloud.aws.registration_form(bought)
    small = Client().post(REGISTER, {"file": SimpleUploadedFile("a.bin", b"x" * 1000), **form})
    large = Client().post(REGISTER, {**form, "file": SimpleUploadedFile("a.bin", b"x" * 3_000_000)})
    assert (small.status_code, large.status_code) == (400, 413)
    assert list(folder.iterdir()) == []
    assert lands(form).status_code == 303


def test_the_key_of_a_registration_stands_nowhere_as_it_is(cloud: AwsWorld, bought: Agreement) -> None:
    """Whoever has a dump can't finish somebody else's purchase."""
    found = registration.resolve(cloud.aws.registration_token(bought), on_trial=False, at=clock.now())
    assert len(found.one_time_key) == 43
    row = Registration.objects.get()
    assert row.key == registration.hash_of(found.one_time_key) != found.one_time_key
    assert row.one_time_key == ""
    assert Client().get(f"/marketplace/aws/register/{row.key}/").status_code == 410
    assert Client().get(f"/marketplace/aws/register/{found.one_time_key}/").status_code == 302


def test_whoever_joins_has_the_link_that_proves_their_address_and_is_in_at_once(
    cloud: AwsWorld, bought: Agreement
) -> None:
    browser = Client()
    arrive(browser, cloud.aws.registration_form(bought))
    assert send(browser, JOIN, NEWCOMER)["Location"].startswith("/user/subscription/")
    user = User.objects.get(email="nora@new.example")
    assert not is_proven(user)
    assert browser.get("/user/preferences/").status_code == 200
    told = [message for message in mail.outbox if "/auth/confirm-email/" in str(message.body)]
    assert [message.to for message in told] == [["nora@new.example"]]
    again = Client()
    again.post("/auth/login/", {"login": user.email, "password": NEWCOMER["password"]})
    assert again.get("/user/preferences/").status_code == 302
    link = re.search(r"/auth/confirm-email/\S+", str(told[0].body))
    assert link
    again.post(link[0])
    again.post("/auth/login/", {"login": user.email, "password": NEWCOMER["password"]})
    assert again.get("/user/preferences/").status_code == 200


def test_with_redis_away_refused_tokens_are_counted_all_the_same(cloud: AwsWorld, settings: Settings) -> None:
    away = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {"default": away}
    Cache._away_until = 0.0
    try:
        cloud.aws.forget_requests()
        assert [lands(invented(number)).status_code for number in range(20)] == [400] * 10 + [429] * 10
        assert cloud.aws.count(RESOLVE) == 10
    finally:
        Cache._away_until = 0.0
        LocMemCache("while Redis is away", {}).clear()
