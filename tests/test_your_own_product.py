"""docs/your-own-product.md: the files in it are those of the example, and its calls do what it says."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client

from accounts.core import clock
from accounts.customers import features, losses, product, product_file
from accounts.customers.history import Actor
from accounts.mail.sending import write
from accounts.models import Account, Notice, User
from subscriptions.catalogue import change_plan
from subscriptions.ending.cancellation import cancel
from subscriptions.models import Plan, Subscription

ROOT = Path(settings.BASE_DIR)
PAGE = (ROOT / "docs/your-own-product.md").read_text(encoding="utf-8")
SignIn = Callable[[User | None], Client]


def test_each_file_of_the_example_stands_in_the_page_as_it_is() -> None:
    shown = dict(re.findall(r"^`tests/documents/(\S+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.M | re.S))
    assert set(shown) == {
        "apps.py",
        "extension.py",
        "models.py",
        "templates/documents/documents.html",
        "urls.py",
        "views.py",
    }
    for name, text in shown.items():
        assert text.strip() == (ROOT / "tests/documents" / name).read_text(encoding="utf-8").strip(), name


@pytest.fixture
def sold_elsewhere(tmp_path: Path) -> Iterator[None]:
    """The product of the page's file, and no other one."""
    [text] = re.findall(r"^`product.toml`:\n\n```toml\n(.*?)^```$", PAGE, re.M | re.S)
    path = tmp_path / "product.toml"
    path.write_text(text, encoding="utf-8")
    declared = product_file.read(path)
    assert declared.home is not None
    with ExitStack() as stack:
        stack.enter_context(features.REGISTRY.without(*features.codes()))
        stack.enter_context(features.REGISTRY.replaced(*declared.features))
        stack.enter_context(losses.REGISTRY.without(*(loss.code for loss in losses.REGISTRY.all())))
        stack.enter_context(losses.REGISTRY.replaced(*declared.losses))
        stack.enter_context(losses.STAYS.without(*(stay.code for stay in losses.STAYS.all())))
        stack.enter_context(losses.STAYS.replaced(*declared.stays))
        stack.enter_context(product.HOMES.without(*map(str, product.HOMES.all())))
        stack.enter_context(product.HOMES.replaced(declared.home))
        stack.enter_context(product.NAVIGATION.without(*(entry.page for entry in product.NAVIGATION.all())))
        stack.enter_context(product.NAVIGATION.replaced(*declared.navigation))
        yield


@pytest.mark.slow
@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_the_calls_of_the_page_make_an_account_that_says_what_it_loses(
    sold_elsewhere: None, live_server: object, sign_in: SignIn
) -> None:
    change_plan(Plan.objects.get(code="pro"), name="Pro", features=["documents"], at=clock.now())
    scopes = re.findall(r"--scope (\S+?)\)?(?= |\n|$)", PAGE)
    assert len(scopes) == 5
    out = StringIO()
    call_command("token", "product", scope=scopes, stdout=out, stderr=StringIO())
    calls = "\n".join(re.findall(r"^```bash\n(.*?)^```$", PAGE, re.M | re.S))

    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "SITE": str(live_server), "TOKEN": out.getvalue().strip()}
    for _twice in range(2):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", calls], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert '"features": ["documents"]' in done.stdout.replace('":["', '": ["')

    account = Account.objects.get(external_id="c-1")
    assert sorted(account.memberships.values_list("user__email", "role")) == [
        ("max@paper.example", "user"),
        ("olga@paper.example", "owner"),
    ]
    subscription = Subscription.objects.get(account=account)
    owner = account.owner()
    assert owner is not None
    client = sign_in(owner)
    assert client.get("/")["Location"] == "https://app.example.com/"
    page = client.get("/user/subscription/cancellation/").content.decode()
    assert "<strong>4</strong> documents become read-only." in page
    assert "All documents can still be read." in page
    assert 'href="https://app.example.com/documents"' in page
    cancel(subscription, by=Actor.owner(owner), at=clock.now())
    mail = write(Notice.objects.get(kind="subscriptions/cancellation_confirmed"))
    assert "- 4 documents become read-only." in str(mail.body)
