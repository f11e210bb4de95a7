"""What malformed requests are sent into: an account of each kind with something in every list, people of each role."""

import json
import random
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import get_resolver

from accounts.blueprints.models import Grid
from accounts.core import clock, roles
from accounts.customers.history import Actor
from accounts.desk.actions import action
from accounts.erasure import holds
from accounts.exports.builder import export_due
from accounts.exports.export import ask as ask_for_export
from accounts.exports.export import link_token
from accounts.models import Account, Membership, Role, User
from accounts.support import internal_notes
from accounts.support.deletion import propose
from accounts.support.requests import RequestKind
from accounts.support.requests import ask as ask_support
from marketplace.aws import registration
from subscriptions import contracts
from subscriptions.ending.cancellation import cancel
from subscriptions.models import Plan
from tests.factories import AccountFactory, BlueprintFactory, ConnectionFactory, UserFactory, subscribe
from tests.fakes.aws.messages import SnsMessage
from tests.fakes.github.payloads import Delivery
from tests.malformed.generator import ODD_HEADERS, Door, Generator, Request, as_json, routes_of
from tests.marketplace.aws.world import AwsWorld
from tests.marketplace.conftest import World

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
#: Liveness of the machine is no matter of what is asked: these say 503 while something is not as it should be.
NOT_ASKED = ("readyz/",)


@dataclass
class Target:
    """The world, and whom its requests come from."""

    people: Mapping[str, User | None]
    generator: Generator
    clients: dict[str, Client] = field(default_factory=dict)

    def send(self, request: Request) -> Any:
        client = self.clients.get(request.role) or self._signed_in(request.role)
        client.handler.enforce_csrf_checks = request.checks_forms
        cookies = dict(client.cookies)
        try:
            return client.generic(
                request.method,
                request.path,
                request.body,
                content_type=request.content_type,
                QUERY_STRING=request.query,
                **request.headers,  # type: ignore[arg-type]  # names of WSGI
            )
        finally:
            client.cookies.clear()
            client.cookies.update(cookies)

    def _signed_in(self, role: str) -> Client:
        client = Client(raise_request_exception=False)
        if person := self.people[role]:
            person.refresh_from_db()
            client.force_login(person, backend=BACKEND)
        self.clients[role] = client
        return client


def build(world: World, cloud: AwsWorld) -> Target:
    """As of a week ago, and whole: every page has something to show, every act something to be done to."""
    world.now = world.github.now = cloud.aws.now = at = clock.now() - timedelta(days=7)
    owner: User = UserFactory(email="owner@example.org", name="Olga Owner")
    account: Account = AccountFactory(name="Harbour", owner=owner)
    people = {"owner": owner, "admin": _member(account, Role.ADMIN), "member": _member(account, Role.USER)}
    stranger: User = UserFactory(email="stranger@example.net")
    elsewhere: Account = AccountFactory(name="Elsewhere", owner=stranger)
    desk = {name: _at_the_desk(name, role) for name, role in (("agent", roles.AGENT), ("lead", roles.LEAD))}
    everything: User = UserFactory(email="staff@example.com", is_staff=True, is_superuser=True)
    agent, lead = Actor.staff(desk["agent"]), Actor.staff(desk["lead"])

    subscribe(account, at=at)
    cancellation, _new = cancel(subscribe(elsewhere, at=at), by=Actor.owner(stranger), at=at)
    sold: Account = AccountFactory(name="Sold by sales")
    contract, _new = contracts.enter(
        sold,
        plan=Plan.objects.get(code="pro"),
        starts_at=at,
        ends_at=at + timedelta(days=365),
        seats=3,
        order_reference="ORD-1",
        by=agent,
        at=at,
    )
    blueprint = BlueprintFactory(account=account, grid=Grid.INFINITE)
    blueprint.redraw_thumbnail()
    connection = ConnectionFactory(account=account)
    requests = [
        ask_support(account, kind=kind, message="A question.", by=Actor.owner(owner), at=at)[0] for kind in RequestKind
    ]
    asked = next(found for found in requests if found.kind == RequestKind.DELETION)
    propose(asked, identity=[], override="", by=agent, at=at)
    internal_notes.note(asked, text="Look at this.", by=agent, at=at)
    hold = holds.set_hold(account, reason="A case.", until=at + timedelta(days=90), at=at, by=lead)
    export, _new = ask_for_export(account, by=Actor.owner(owner), at=at)
    export_due(at)

    buyer, gone = world.github.account(login="octo-ferries"), world.github.account(login="gone-ferries")
    listed = world.github.listing_plan(name="Pro", monthly=900)
    bought = world.github.buy(buyer, listed)
    world.hears(bought)
    world.hears(world.github.buy(gone, listed))
    world.hears(world.github.cancel(gone))
    left: User = UserFactory(email="left@example.net")
    Membership.objects.create(account=world.account_of(gone), user=left, role=Role.OWNER)
    happened = cloud.aws.buy(cloud.buyer())
    agreement = cloud.hears(happened)
    cloud.registers(agreement, UserFactory(email="aws@example.net"))
    arrived = registration.resolve(cloud.aws.registration_token(agreement), on_trial=False, at=clock.now())

    rows = {
        str(row.pk)
        for model, found in admin.site._registry.items()
        if (row := model._default_manager.order_by("pk").first())
    }
    known: dict[str, Sequence[str]] = {
        "account_id": [str(account.pk), str(elsewhere.pk), str(sold.pk)],
        "blueprint_id": [str(blueprint.pk)],
        "connection_id": [str(connection.pk)],
        "component_id": ["web"],
        "reference": [found.reference for found in requests],
        "key": [arrived.one_time_key, "1", "abc-def"],
        "token": [link_token(export, owner)],
        "object_id": sorted(rows),
        "pk": [
            str(pk) for pk in (account.pk, contract.pk, cancellation.pk, hold.pk, *(found.pk for found in requests))
        ],
        "number": ["1"],
        "name": [act.name for act in action.registered()],
        "app_label": ["accounts", "subscriptions", "marketplace", "auth"],
        "content_type_id": ["1", "7"],
        "uidb36": ["1"],
        "provider": ["github"],
        "url": ["x/"],
    }
    routes = [route for route in routes_of(get_resolver()) if not route.startswith(NOT_ASKED)]
    everybody = {
        **people,
        **desk,
        "nobody": None,
        "stranger": stranger,
        "staff": everything,
        "left": left,
        "loner": UserFactory(email="loner@example.net"),
    }
    doors = [
        _github(bought, world.github.webhook_secret),
        *[_aws(message) for message in happened.messages],
        _api(f"/api/accounts/{account.pk}/connections/{connection.pk}/resources/", "PUT", _RESOURCES),
        _api(f"/api/accounts/{account.pk}/github-hooks/", "PUT", {"repository": "octo/ferries", "hook_id": 12345}),
        _api(f"/api/accounts/{account.pk}/github-hooks/", "DELETE", {"repository": "octo/ferries", "hook_id": 12345}),
    ]
    return Target(everybody, Generator(routes, list(everybody), known, doors))


_RESOURCES = [{"id": "i-1", "type": "ec2", "name": "web", "region": "eu-west-1", "size": 1.5}]


def _member(account: Account, role: Role) -> User:
    user: User = UserFactory(email=f"{role}@example.org")
    Membership.objects.create(account=account, user=user, role=role)
    return user


def _at_the_desk(name: str, role: str) -> User:
    user: User = UserFactory(email=f"{name}@example.com", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


def _wsgi(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        f"HTTP_{name.upper().replace('-', '_')}": value.encode("utf-8", "replace").decode("latin-1")
        for name, value in headers.items()
        if name.lower() != "content-type"
    }


def _github(sent: Delivery, secret: str) -> Door:
    """A delivery that is GitHub's by its signature, with something odd in what it says."""

    def request(chance: random.Random, odd: Callable[[Any], Any]) -> Request:
        from tests.fakes.github.payloads import signatures

        body, content_type = as_json(odd(sent.payload)), "application/json"
        if chance.random() < 0.3:
            body, content_type = urllib.parse.urlencode({"payload": body.decode()}).encode(), _FORM
        guid = f"{chance.getrandbits(64):x}"
        headers = _wsgi({**sent.headers, "X-GitHub-Delivery": guid, **signatures(secret, body)})
        if chance.random() < 0.2:
            headers["HTTP_X_GITHUB_EVENT"] = _odd_header(chance, "HTTP_X_GITHUB_EVENT")
        return Request("nobody", "POST", "/marketplace/github/webhook/", "", body, content_type, headers)

    return request


def _aws(sent: Any) -> Door:
    """A message that is AWS's by its signature or token, with something odd in what it says."""

    def request(chance: random.Random, odd: Callable[[Any], Any]) -> Request:
        if isinstance(sent, SnsMessage):
            said = json.dumps(odd(json.loads(sent.fields["Message"])))
            message = sent.altered(lambda fields: fields.update(Message=said, MessageId=f"{chance.getrandbits(64):x}"))
            if chance.random() < 0.3:
                return Request(
                    "nobody", "POST", _SNS, "", as_json(odd(message.fields)), "text/plain", _wsgi(message.headers)
                )
            return Request(
                "nobody", "POST", _SNS, "", message.body, "text/plain; charset=UTF-8", _wsgi(message.headers)
            )
        event = odd(json.loads(sent.body))
        if isinstance(event, dict):
            event["id"] = f"{chance.getrandbits(64):x}"
        return Request("nobody", "POST", _EVENTS, "", as_json(event), "application/json", _wsgi(sent.headers))

    return request


def _api(path: str, method: str, said: Any) -> Door:
    def request(chance: random.Random, odd: Callable[[Any], Any]) -> Request:
        body = as_json(odd(said))
        for marker, number in ((b"1.5", b"1e999"), (b"12345", b"1e999")):
            if chance.random() < 0.2:
                body = body.replace(marker, number)
        return Request(
            "nobody", method, path, "", body, "application/json", {"HTTP_AUTHORIZATION": "Bearer test-api-token"}
        )

    return request


_SNS, _EVENTS, _FORM = "/marketplace/aws/sns/", "/marketplace/aws/events/", "application/x-www-form-urlencoded"


def _odd_header(chance: random.Random, name: str) -> str:
    return chance.choice(ODD_HEADERS[name]).encode("utf-8", "replace").decode("latin-1")
