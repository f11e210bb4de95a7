"""Blueprints: reading always, editing an infinite grid only with the feature."""

import html
import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from accounts.blueprints.models import Blueprint, Grid
from accounts.core import clock
from accounts.customers.entitlements import NotEntitled
from accounts.customers.history import Actor
from accounts.customers.promises import promise
from accounts.models import Account, Event, User
from tests.factories import NOW, BlueprintFactory, subscribe

pytestmark = pytest.mark.django_db
SignIn = Callable[[User | None], Client]
ONE = [{"id": "a", "type": "ec2", "label": "web", "x": 0, "y": 0, "links": []}]


def posted(blueprint: Blueprint, components: object = ONE, name: str = "New name") -> dict[str, str]:
    """What the form on the blueprint's page sends."""
    return {
        "account": str(blueprint.account_id),
        "shown": promise(blueprint.changed_at),
        "name": name,
        "components": components if isinstance(components, str) else json.dumps(components),
    }


def test_an_infinite_grid_is_read_only_on_free(account: Account) -> None:
    blueprint = BlueprintFactory(account=account, grid=Grid.INFINITE, name="Old name")
    with pytest.raises(NotEntitled):
        blueprint.edit(name="New name", components=[], at=NOW)
    assert Blueprint.objects.get().name == "Old name"


def test_it_is_editable_with_the_feature_and_again_after_conversion(account: Account) -> None:
    blueprint = BlueprintFactory(account=account, grid=Grid.INFINITE)
    subscribe(account, ends_at=NOW + timedelta(days=1))
    blueprint.edit(name="Paid", components=ONE, at=NOW)
    assert blueprint.convert_to_standard_grid(by=Actor.system(), at=NOW + timedelta(days=2))
    assert not blueprint.convert_to_standard_grid(by=Actor.system(), at=NOW + timedelta(days=2))
    blueprint.edit(name="Free", components=ONE, at=NOW + timedelta(days=3))
    assert Blueprint.objects.get().name == "Free"
    assert Event.objects.filter(kind="blueprint.converted").count() == 1


def test_every_door_refuses_what_the_plan_does_not_include(account: Account, member: User, sign_in: SignIn) -> None:
    blueprint = BlueprintFactory(account=account, grid=Grid.INFINITE, name="Old name")
    client, page = sign_in(member), f"/blueprints/{blueprint.pk}/"
    assert client.get(page).status_code == 200
    assert client.post(page, posted(blueprint)).status_code == 403
    assert client.get(f"{page}live/").status_code == 403
    assert client.get(f"{page}bits/?component=web").status_code == 403
    assert Blueprint.objects.get().name == "Old name"
    refusal = client.post(page, posted(blueprint)).content.decode()
    assert "The Free plan" in refusal
    assert "Convert to the standard grid" in refusal


def test_every_door_opens_with_a_plan_that_includes_it(account: Account, member: User, sign_in: SignIn) -> None:
    subscribe(account, at=clock.now() - timedelta(days=1))
    blueprint = BlueprintFactory(account=account, grid=Grid.INFINITE)
    client, page = sign_in(member), f"/blueprints/{blueprint.pk}/"
    assert client.post(page, posted(blueprint)).status_code == 302
    assert client.get(f"{page}live/").status_code == 200
    bits = client.get(f"{page}bits/?component=a")
    assert "https://app.datadoghq.com/logs?query=host%3Aweb" in bits.content.decode()
    assert client.get(f"{page}bits/?component=unknown").status_code == 404


@pytest.mark.parametrize(
    "component_id",
    [
        "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/50dc6c495c0c9188",
        "/",
        "..",
        "a?b#c&component=d",
        "100 %",
        "two\nlines",
        "<b>&amp;",
        "Straße/δ",
        "x" * 200,
    ],
)
def test_ids_are_taken_as_they_come(account: Account, member: User, sign_in: SignIn, component_id: str) -> None:
    """An id with a slash once made its blueprint unreadable for the whole account."""
    subscribe(account, at=clock.now() - timedelta(days=1))
    component = {"id": component_id, "type": "ec2", "label": "The one", "x": 0, "y": 0}
    blueprint = BlueprintFactory(account=account, components=[component])
    client, url = sign_in(member), f"/blueprints/{blueprint.pk}/"
    page = client.get(url)
    assert page.status_code == 200
    link = re.search(r'href="([^"]+/bits/[^"]+)"', page.content.decode())
    assert link
    menu = client.get(html.unescape(link[1]))
    assert menu.status_code == 200
    assert "The one" in menu.content.decode()


@pytest.mark.parametrize(
    ("components", "message"),
    [
        ("{", "Not JSON"),
        ("[" * 5000 + "]" * 5000, "nested"),
        ("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", "nested"),
        ('{"id": 1}', "A list of objects"),
        ("[NaN]", "NaN"),
        ([{"id": "a"}], "“type” must be a text"),
        ([{**ONE[0], "x": "1"}], "“x” must be a whole number"),
        ([{**ONE[0], "x": 10**9}], "“x” must be a whole number"),
        ([{**ONE[0], "links": "b"}], "“links” must be a list"),
        ([ONE[0], ONE[0]], "is taken"),
        ('[{"id": "\\u0000", "type": "t", "label": "l", "x": 0, "y": 0}]', "NUL"),
        ('[{"id": "\\ud800", "type": "t", "label": "l", "x": 0, "y": 0}]', "surrogate"),
    ],
)
def test_components_that_make_no_sense_are_refused_with_the_reason(
    account: Account, member: User, sign_in: SignIn, components: object, message: str
) -> None:
    blueprint = BlueprintFactory(account=account, name="Old name")
    response = sign_in(member).post(f"/blueprints/{blueprint.pk}/", posted(blueprint, components))
    assert response.status_code == 422
    assert message in response.content.decode()
    assert Blueprint.objects.get().name == "Old name"


def test_markup_in_names_and_labels_is_shown_as_typed(account: Account, member: User, sign_in: SignIn) -> None:
    blueprint = BlueprintFactory(account=account)
    nasty = "<script>alert(1)</script>"
    client = sign_in(member)
    client.post(f"/blueprints/{blueprint.pk}/", posted(blueprint, [{**ONE[0], "label": nasty}], name=nasty))
    page = client.get(f"/blueprints/{blueprint.pk}/").content.decode()
    assert nasty not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_editing_draws_a_new_thumbnail_for_members_only(
    account: Account, member: User, stranger: User, sign_in: SignIn
) -> None:
    blueprint = BlueprintFactory(account=account)
    path = f"/blueprints/{blueprint.pk}/thumbnail/"
    assert sign_in(member).get(path).status_code == 404
    sign_in(member).post(f"/blueprints/{blueprint.pk}/", posted(blueprint))
    response = sign_in(member).get(path)
    assert response["Content-Type"] == "image/svg+xml"
    assert b"<title>web</title>" in b"".join(response)
    assert sign_in(stranger).get(path).status_code == 404


def test_the_list_is_paged(account: Account, member: User, sign_in: SignIn) -> None:
    for number in range(61):
        BlueprintFactory(account=account, name=f"Plan {number:02}")
    client = sign_in(member)
    first, second = client.get("/").content.decode(), client.get("/?page=2").content.decode()
    assert "Plan 59" in first
    assert "Plan 60" not in first
    assert "Plan 60" in second
    assert client.get("/?page=nonsense").status_code == 200
    assert client.get("/?page=²").status_code == 200
