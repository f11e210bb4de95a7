"""People at a browser: an owner invites, somebody new joins, becomes the owner, and the old one leaves."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from playwright.sync_api import expect
from pytest_django import Settings

from accounts.core import clock as server_clock
from accounts.customers.history import Actor
from accounts.mail.sending import send_due
from accounts.models import Account, Membership, Role, User
from accounts.people import inviting
from tests.browser import test_pages
from tests.browser.conftest import OpenAs, OpenWindow, enter
from tests.browser.test_pages import assert_nothing_sideways, look_at_markup, press, visit
from tests.factories import UserFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

#: Windows in which every page has axe.
open_window = test_pages.open_window
PEOPLE = "/user/people/"


def path_in(letter: Any, pattern: str) -> str:
    found = re.search(pattern, str(letter.body))
    assert found, letter.body
    return found[0]


def test_an_owner_invites_somebody_new_who_becomes_the_owner(
    open_as: OpenAs, open_window: OpenWindow, account: Account, owner: User
) -> None:
    page = open_as(owner)
    visit(page, PEOPLE)
    page.get_by_label("Email address").fill("nora@new.example")
    press(page, "Invite")
    expect(page.get_by_text("nora@new.example is invited.")).to_be_visible()
    send_due(server_clock.now())

    newcomer = open_window(timezone_id="America/Toronto")
    visit(newcomer, path_in(mail.outbox[-1], r"/invitation/\w+/"))
    newcomer.get_by_label("Your name").fill("Nora")
    newcomer.get_by_label("Password").fill("a harbour with ferries")
    press(newcomer, "Join")
    expect(newcomer.get_by_text("Welcome to Harbour.")).to_be_visible()
    expect(newcomer.get_by_text("Times are shown in your time zone, Toronto, Canada.")).to_be_visible()
    visit(newcomer, PEOPLE)
    expect(newcomer.get_by_role("button", name="Leave Harbour")).to_be_visible()

    visit(page, PEOPLE)
    page.locator("summary", has_text="Change").click()
    look_at_markup(page, "people, with a member open")
    page.locator("section", has_text="Members").get_by_label("Role").select_option("admin")
    press(page, "Save the role")
    visit(page, "/user/people/ownership/")
    page.get_by_label("New owner").select_option(label="Nora (nora@new.example)")
    press(page, "Offer the account")
    expect(page.get_by_role("button", name="Take the offer back")).to_be_visible()
    visit(newcomer, "/user/people/ownership/offer/")
    press(newcomer, "Become the owner")
    expect(newcomer.get_by_text("You are the owner of Harbour now.")).to_be_visible()
    visit(page, PEOPLE)
    press(page, "Leave Harbour", 403)
    expect(page.get_by_role("heading", name="You belong to no account")).to_be_visible()
    assert Membership.objects.get(account=account).user.name == "Nora"


def test_pages_of_an_invitation(open_as: OpenAs, open_window: OpenWindow, account: Account, owner: User) -> None:
    known = UserFactory(email="known@new.example")
    by = Actor.owner(owner)
    at = server_clock.now()
    for email in ("known@new.example", "a-very-long-address-without-any-place-to-break@departments.new.example"):
        inviting.invite(account, email=email, role=Role.USER, by=by, at=at)
    expired, _new = inviting.invite(account, email="late@new.example", role=Role.ADMIN, by=by, at=at - timedelta(8))
    visit(open_as(owner), PEOPLE)
    link = f"/invitation/{account.invitations.get(email=known.email).token()}/"
    stranger = open_as(UserFactory())
    visit(stranger, link)
    press(stranger, "Sign out and go on")
    stranger.get_by_role("link", name="Sign in").click()
    enter(stranger, known)
    expect(stranger.get_by_role("heading", name="Join Harbour")).to_be_visible()
    press(stranger, "Join")
    visit(open_window(), f"/invitation/{expired.token()}/", 410)


def test_who_signs_up_proves_the_address_first(open_window: OpenWindow, db: None, settings: Settings) -> None:
    settings.SIGN_UP = "open"
    page = open_window(locale="fr-FR", timezone_id="Europe/Paris")
    visit(page, "/auth/login/")
    page.get_by_role("link", name="Créer un compte").click()
    page.get_by_label("Adresse e-mail").fill("nora@new.example")
    press(page, "Envoyer le lien")
    assert not User.objects.exists()
    visit(page, path_in(mail.outbox[-1], r"/sign-up/\S+/"))
    page.get_by_label("Votre nom").fill("Nora")
    page.get_by_label("Nom du compte").fill("Port")
    page.get_by_label("Mot de passe").fill("un port et des bacs")
    press(page, "Créer le compte")
    expect(page.get_by_text("Bienvenue dans Port.")).to_be_visible()
    expect(page.get_by_text("fuseau horaire, Paris, France.")).to_be_visible()
    visit(page, PEOPLE)
    assert_nothing_sideways(page, "people, in French")
    visit(page, "/user/preferences/")


def test_without_scripts_times_are_in_utc_and_the_page_says_so(open_as: OpenAs, account: Account, owner: User) -> None:
    page = open_as(owner, java_script_enabled=False, timezone_id="Europe/Paris")
    page.goto(PEOPLE)
    expect(page.get_by_text("Times are shown in UTC.")).to_be_visible()
    page.get_by_role("link", name="Choose your time zone").click()
    page.get_by_label("Time zone").select_option("Europe/Paris")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Times are shown in your time zone, Paris, France.")).to_be_visible()
