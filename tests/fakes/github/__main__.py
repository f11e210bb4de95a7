"""GitHub beside `make run`, in the foreground, until Ctrl-C."""

import argparse
import threading
from datetime import UTC, datetime

from tests.fakes.github import FakeGitHub
from tests.fakes.github.demo import know_demo

USAGE = """
  curl {url}/_control/state
  curl {url}/_control/buy -d '{{"account": "harbour", "plan": "Pro"}}'
  curl {url}/_control/cancel -d '{{"account": "harbour"}}'

Verbs: account, listing_plan, buy, change, schedule_change, withdraw_change, apply_pending, cancel, renew, rename,
authorize, hook, fail, heal, rate_limit, stale, ping, now, sign_in_as, redeliver ...
"""


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.fakes.github", description=__doc__)
    options.add_argument("--port", type=int, default=8900)
    options.add_argument("--webhook", help="where deliveries are posted, on 127.0.0.1")
    options.add_argument("--secret", default="test-webhook-secret", help="what they are signed with")
    options.add_argument("--app", choices=["oauth_app", "github_app"], default="oauth_app")
    options.add_argument("--without-demo", action="store_true", help="do not know the customers of `manage.py demo`")
    chosen = options.parse_args()
    github = FakeGitHub(port=chosen.port, webhook_secret=chosen.secret)
    github.now = datetime.now(UTC)
    github.webhook_url = chosen.webhook
    github.app_kind = chosen.app
    github.listing_plan(name="Free")
    if chosen.without_demo:
        github.listing_plan(name="Pro", monthly=900, has_free_trial=True)
    else:
        know_demo(github)
    github.listing_plan(name="Team", monthly=500, price_model="PER_UNIT")
    owner = github.account("harbour-owner")
    github.account("harbour")
    github.account("northwind", type="Organization", admins=[owner])
    with github:
        print(f"GitHub at {github.url}. For the product:\n")  # noqa: T201
        print("\n".join(f"  {name}={value}" for name, value in environment(github).items()))  # noqa: T201
        print(USAGE.format(url=github.url), flush=True)  # noqa: T201
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("Stopped.")  # noqa: T201


def environment(github: FakeGitHub) -> dict[str, str]:
    settings = {
        "GITHUB_API_URL": github.url,
        "GITHUB_WEB_URL": github.web_url,
        "GITHUB_CLIENT_ID": github.client_id,
        "GITHUB_CLIENT_SECRET": github.client_secret,
        "GITHUB_WEBHOOK_SECRETS": github.webhook_secret,
    }
    if github.app_kind == "github_app":
        # One line, as in an environment file.
        one_line = github.private_key.strip().replace("\n", "\\n")
        settings |= {"GITHUB_APP_ID": str(github.app_id), "GITHUB_PRIVATE_KEY": f'"{one_line}"'}
    return settings


if __name__ == "__main__":
    main()
