"""Every example of docs/api.md, run by curl against a server, in the order in which a reader would."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from accounts.models import Account, User
from subscriptions.models import Cancellation, Subscription
from tests.accounts.api.calling import Caller
from tests.pages import press

GUIDE = Path(settings.BASE_DIR) / "docs" / "api.md"
CANCELS = "<!-- here the test cancels on the page -->"


def commands(text: str) -> str:
    return "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def run(script: str, folder: Path, **environment: str) -> str:
    """What it prints. What it has set is there for the next one; the first command that fails ends it."""
    kept = folder / "kept.sh"
    whole = f"set -euo pipefail\n[ ! -e {kept} ] || . {kept}\n{script}\ndeclare -p ACCOUNT SUBSCRIPTION > {kept}\n"
    done = subprocess.run(
        ["bash", "-c", whole],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_an_account_with_two_people_and_a_subscription_made_by_curl_the_owner_cancels_and_the_api_says_so(
    live_server: Any, call: Caller, tmp_path: Path, sign_in: Any
) -> None:
    before, after = GUIDE.read_text(encoding="utf-8").split(CANCELS)
    where = {"API": f"{live_server.url}/api/v1", "TOKEN": call.text}
    run(commands(before), tmp_path, **where)
    account = Account.objects.get(external_id="cust-1042")
    assert [place.role for place in account.memberships.order_by("pk")] == ["owner", "admin"]
    owner = User.objects.get(external_id="u-7")
    press(sign_in(owner), "/user/subscription/cancellation/", reason="unused")
    cancellation = Cancellation.objects.get()

    said = run(commands(after), tmp_path, **where)

    assert f"{cancellation.reference} {cancellation.effective_at:%Y-%m-%dT%H:%M:%S}Z" in said
    subscription = Subscription.objects.get(external_id="sub-1042")
    assert (subscription.seats, subscription.cents) == (5, 4900)
    assert subscription.billed_until is not None
    assert account.requests.get().kind == "deletion"
    assert json.loads((tmp_path / "account.json").read_text())["external_id"] == "cust-1042"


def test_every_call_of_the_guide_is_run() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert text.count("curl ") == commands(text).count("curl ")
    assert text.count(CANCELS) == 1
