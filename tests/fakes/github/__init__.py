"""A GitHub to test against: Marketplace, applications' tokens, repository webhooks and sign-in, in memory, over HTTP.

    with FakeGitHub() as github:
        pro = github.listing_plan(name="Pro", monthly=900)
        buyer = github.account(login="harbour")
        bought = github.buy(buyer, pro)             # a signed Delivery
        bought.post(f"{site}/marketplace/github/webhook/")
        github.fail("GET /marketplace_listing/accounts/*", status=502, times=2)

`GITHUB_API_URL` is `github.url`, `GITHUB_WEB_URL` is `github.web_url`. `python -m tests.fakes.github` runs it beside
`make run`. It answers as GitHub's documentation, its OpenAPI description and captured traffic say; where those differ,
a comment says which one it follows.

Where what is: `marketplace` (plans, purchases, webhook deliveries), `applications` (tokens, hooks, installations),
`traffic` (what was asked, what must fail); `payloads` and `answers` are shapes; `routes`, `sign_in`, `calls` and
`server` are HTTP; `control` is for playing it by hand.
"""

from tests.fakes.github.fake import FakeGitHub
from tests.fakes.github.payloads import Delivery
from tests.fakes.github.state import Account, Hook, PendingChange, Plan, Purchase, Token
from tests.fakes.github.traffic import Request

__all__ = ["Account", "Delivery", "FakeGitHub", "Hook", "PendingChange", "Plan", "Purchase", "Request", "Token"]
