"""The product is a guest: Offboard runs without it, with another one, and takes over what an older version made.

Each of these starts processes of its own: which apps there are is decided when one starts.
"""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from tests import databases

pytestmark = [pytest.mark.slow]

#: What a process of another product does, and says as JSON on its last line.
SCRIPT = """
import json, re
from datetime import timedelta
import django
django.setup()
from django.apps import apps
from django.core.management import call_command
from django.test import Client
from accounts.core import clock
from accounts.jobs import invariants
from accounts.models import User

call_command("makemigrations", check=True)
call_command("demo", verbosity=0)


def see(client, path):
    response = client.get(path)
    return response.status_code, response.headers.get("Location", ""), response.content.decode()


def signed_in(email):
    client = Client(headers={"accept-language": "en"})
    client.force_login(User.objects.get(email=email), backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


owner = signed_in("owner@direct.example")
paths = ["/", "/user/subscription/", "/user/subscription/cancellation/", "/user/export/", "/user/support/"]
pages = {path: see(owner, path) for path in paths}
pages["free"] = see(signed_in("owner@ended.example"), "/user/subscription/")
pages["sales"] = see(signed_in("owner@sales.example"), "/user/subscription/")
pages["desk"] = see(signed_in("lead@support.example"), "/admin/")
print(json.dumps({
    "apps": [config.label for config in apps.get_app_configs()],
    "pages": pages,
    "warnings": [str(warning) for warning in invariants.warnings(clock.now())],
}))
"""


@pytest.fixture
def bare() -> Iterator[str]:
    """A database of one's own, without a product."""
    with databases.copy("") as url:
        yield url


def run(database: str, folder: Path, *command: str, products: str) -> str:
    """The output of a process in which these are the products."""
    environment = {
        **os.environ,
        "DATABASE_URL": database,
        "PRODUCT_APPS": products,
        "DATA_DIR": str(folder),
        "EMAIL_URL": f"filemail://{folder}/mail",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        # What is served is named by hashes, which somebody would have to collect first.
        "DEBUG": "1",
    }
    done = subprocess.run(
        [sys.executable, *command],
        env=environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_without_a_product_offboard_runs_bare_and_speaks_of_none(bare: str, tmp_path: Path) -> None:
    *said, last = run(bare, tmp_path, "-c", SCRIPT, products="").splitlines()
    assert said[0] == "No changes detected"
    found = json.loads(last)
    assert "blueprints" not in found["apps"]
    pages = found["pages"]
    assert list(pages["/"][:2]) == [302, "/user/subscription/"]
    assert {name: page[0] for name, page in pages.items() if name != "/"} == dict.fromkeys(
        [
            "/user/subscription/",
            "/user/subscription/cancellation/",
            "/user/export/",
            "/user/support/",
            "free",
            "sales",
            "desk",
        ],
        200,
    )
    # The brand of the demo is called after its product.
    told = {name: page[2].replace("Blueprints", "") for name, page in pages.items()}
    words = ("blueprint", "infinite grid", "Bits menu", "Live view", "connection", "Datadog")
    assert [(name, word) for name, page in told.items() for word in words if word in page] == []
    assert "sold by our sales team." in pages["sales"][2]
    assert 'class="losses"' not in pages["/user/subscription/cancellation/"][2]
    assert not any(warning.startswith("unknown-feature") for warning in found["warnings"])
    with psycopg.connect(bare) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'accounts_blueprint'")
        assert tables.fetchone() == (0,)


@pytest.fixture
def database() -> Iterator[str]:
    """An empty one."""
    with databases.copy(None) as url:
        yield url


def test_an_installation_of_before_keeps_its_product_its_triggers_and_its_permissions_until_it_is_taken_out(
    database: str, tmp_path: Path
) -> None:
    product = "accounts.blueprints"
    run(database, tmp_path, "manage.py", "migrate", "--verbosity", "0", "accounts", "0020", products=product)
    account, blueprint = uuid.uuid4(), uuid.uuid4()
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO accounts_account (id, name, words, created_at) VALUES (%s, 'Harbour', '', now())",
            [account],
        )
        connection.execute(
            "INSERT INTO accounts_blueprint (id, account_id, name, grid, components, thumbnail, created_at, changed_at)"
            " VALUES (%s, %s, 'Web shop', 'infinite', '[]', '', now(), now())",
            [blueprint, account],
        )
    run(database, tmp_path, "manage.py", "migrate", "--verbosity", "0", products=product)
    with psycopg.connect(database, autocommit=True) as connection:
        rows = connection.execute("SELECT id, name FROM accounts_blueprint").fetchall()
        assert rows == [(blueprint, "Web shop")]
        labels = connection.execute("SELECT app_label FROM django_content_type WHERE model = 'blueprint'").fetchall()
        assert labels == [("blueprints",)]
        # One trigger on each of its tables, under the name of its app.
        triggers = connection.execute(
            "SELECT tgrelid::regclass::text, count(*) FROM pg_trigger WHERE tgname LIKE 'pgtrigger_%' "
            "AND tgrelid IN ('accounts_blueprint'::regclass, 'accounts_cloudconnection'::regclass) "
            "GROUP BY 1 ORDER BY 1"
        ).fetchall()
        assert triggers == [("accounts_blueprint", 1), ("accounts_cloudconnection", 1)]
        connection.execute("UPDATE accounts_account SET purging_at = now() WHERE id = %s", [account])
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
            connection.execute(
                "INSERT INTO accounts_cloudconnection (id, account_id, provider, name, resources, created_at)"
                " VALUES (gen_random_uuid(), %s, 'aws', 'late', '[]', now())",
                [account],
            )
    assert "No changes" in run(database, tmp_path, "manage.py", "makemigrations", "--check", products=product)
    # Taken out again, it takes its rows along (docs/your-own-product.md).
    run(database, tmp_path, "manage.py", "migrate", "--verbosity", "0", "blueprints", "zero", products=product)
    with psycopg.connect(database) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'accounts_blueprint'")
        assert tables.fetchone() == (0,)


#: The second product: its customer uses it, cancels, takes the data along, and is erased.
LIFE = """
import json, zipfile
from datetime import timedelta
import django
django.setup()
from django.core import mail
from django.core.management import call_command
from django.test import Client
from accounts.core import clock
from accounts.customers.history import Actor
from accounts.erasure import inventory, runner
from accounts.exports import parts
from accounts.exports.builder import export_due
from accounts.exports.export import Export, ask as ask_export
from accounts.mail.sending import write
from accounts.models import Account, Certificate, Notice, User
from accounts.support import deletion
from subscriptions.billing import by_hand
from subscriptions.billing.wish import Want, Wish
from subscriptions.ending.cancellation import cancel
from subscriptions.models import Plan, Subscription
from tests.documents.models import Document

found = {"unlisted": inventory.unlisted()}
with inventory.STORES.without("documents.Document"):
    found["unlisted without its store"] = inventory.unlisted()

call_command("makemigrations", check=True)
call_command("demo", verbosity=0)
assert Plan.objects.get(code="pro").features == ["documents"]
owner = User.objects.get(email="owner@direct.example")
account = Account.objects.get(name="Harbour Diagrams")
browser = Client(headers={"accept-language": "en"})
browser.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")


def text(path):
    return browser.get(path).content.decode()


def write_one(title):
    return browser.post("/documents/", {"account": account.pk, "title": title}).status_code


found["home"] = text("/")
found["written on Pro"] = write_one("Letter")
found["cancellation"] = text("/user/subscription/cancellation/")
found["export page"] = text("/user/export/")
subscription = Subscription.objects.get(account=account)
cancellation, _new = cancel(subscription, by=Actor.owner(owner), at=clock.now())
found["mail"] = write(Notice.objects.get(kind="subscriptions/cancellation_confirmed", account=account)).body
ask_export(account, by=Actor.owner(owner), at=clock.now())
export_due(clock.now())
export = Export.objects.get(account=account)
with export.file.open() as file, zipfile.ZipFile(file) as archive:
    found["exported"] = [json.loads(line)["title"] for line in archive.read("documents.jsonl").splitlines()]
ended = User.objects.get(email="owner@ended.example")
other = Client(headers={"accept-language": "en"})
other.force_login(ended, backend="allauth.account.auth_backends.AuthenticationBackend")
theirs = ended.memberships.get().account
refused = other.post("/documents/", {"account": theirs.pk, "title": "Letter"})
found["written on Free"] = refused.status_code
found["refusal"] = refused.content.decode()

leaving = Account.objects.get(name="Quiet Canal")
request = leaving.requests.get(kind="deletion")
lead = User.objects.get(email="lead@support.example")
approved = deletion.approve(request, by=Actor.staff(lead), at=clock.now())
wish = Wish.objects.get(subscription__account=leaving)
by_hand.say_done(wish, Want(wish.want), by=Actor.staff(lead), at=clock.now())
found["before erasing"] = Document.objects.filter(account_id=leaving.pk).count()
while not runner.take_turn(approved, approved.due_at):
    approved.refresh_from_db()
    assert not approved.attempts, approved.last_error
found["after erasing"] = Document.objects.filter(account_id=leaving.pk).count()
found["on the certificate"] = Certificate.objects.get(account_id=leaving.pk).body["erased"]["documents.Document"]
print(json.dumps(found))
"""


def test_a_product_of_ones_own_sells_a_feature_loses_it_exports_and_is_erased(tmp_path: Path) -> None:
    product = "tests.documents"
    with databases.copy(product) as database:
        *said, last = run(database, tmp_path, "-c", LIFE, products=product).splitlines()
    assert said[0] == "No changes detected"
    found = json.loads(last)
    # The inventory's test would fail for whoever forgets to say where personal data lies.
    assert found["unlisted"] == []
    assert found["unlisted without its store"] == ["documents.Document"]
    # Its pages: the front page, the navigation.
    assert "<li>Budget</li>" in found["home"]
    assert '<a href="/documents/">Documents</a>' in found["home"]
    # The feature, and what is lost with it: the same number on page and mail.
    assert (found["written on Pro"], found["written on Free"]) == (200, 403)
    assert "<h1>Writing documents</h1>" in found["refusal"]
    assert "<li><strong>4</strong> documents become read-only.</li>" in found["cancellation"]
    assert "<li>All documents can still be read.</li>" in found["cancellation"]
    assert "- 4 documents become read-only." in found["mail"]
    assert "All documents can still be read. Nothing is deleted;" in found["mail"]
    # What its customer takes along, and what is erased, with a number that is proven.
    assert "<li>all documents</li>" in found["export page"]
    assert sorted(found["exported"]) == ["Budget", "Letter", "Minutes", "Plan"]
    assert (found["before erasing"], found["after erasing"], found["on the certificate"]) == (3, 0, 3)
