"""Who may do what at the support desk.

Two groups, made by migration: *Support agent* sees everything, answers, and cancels on behalf of a customer;
*Support lead* decides what costs money or data. The permissions belong to the account (`Account.Meta.permissions`),
because nearly everything here is done to one.
"""

from typing import Any

from django.utils.translation import gettext_lazy as _

AGENT = "Support agent"
LEAD = "Support lead"

USE = "accounts.use_desk"
ANSWER = "accounts.answer_requests"
CANCEL = "accounts.cancel_on_behalf"
REFUND = "accounts.refund"
DELETE = "accounts.delete_data"
HOLD = "accounts.hold_data"
HAND_OVER = "accounts.hand_over"
END = "accounts.end_subscription"
SELL = "accounts.sell_contracts"
REACTIVATE = "accounts.reactivate"
MEND = "accounts.mend"
TOKENS = "accounts.manage_tokens"
PLANS = "accounts.manage_plans"
OPEN = "accounts.open_accounts"
ENDPOINTS = "accounts.manage_endpoints"

#: Code name and words of each permission, for `Account.Meta`.
PERMISSIONS: list[tuple[str, Any]] = [
    ("use_desk", _("Can use the support desk")),
    ("answer_requests", _("Can answer requests, and propose refunds and deletions")),
    ("cancel_on_behalf", _("Can cancel and keep subscriptions on behalf of their owners")),
    ("refund", _("Can refund")),
    ("delete_data", _("Can approve the deletion of accounts")),
    ("hold_data", _("Can set, confirm and release holds")),
    ("hand_over", _("Can hand over the ownership of accounts")),
    ("end_subscription", _("Can end subscriptions at once")),
    ("sell_contracts", _("Can enter, extend and renew contracts")),
    ("reactivate", _("Can reactivate accounts")),
    ("mend", _("Can process deliveries again, and retry and skip steps")),
    ("manage_tokens", _("Can revoke tokens of the API")),
    ("manage_plans", _("Can make, change and retire plans, and set prices")),
    ("open_accounts", _("Can open accounts")),
    ("manage_endpoints", _("Can manage endpoints, and have messages sent again")),
]
OF_AGENTS = (USE, ANSWER, CANCEL)
OF_LEADS = (*OF_AGENTS, REFUND, DELETE, HOLD, HAND_OVER, END, SELL, REACTIVATE, MEND, TOKENS, PLANS, OPEN, ENDPOINTS)
