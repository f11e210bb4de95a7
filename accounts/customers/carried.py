"""Accounts that a `sweep --at` has carried ahead of the clock, in a demonstration (`ALLOW_TIME_TRAVEL`).

What was carried out ahead is done: a subscription is settled, its history says so, its mail is out. A page of the
present would offer to keep what is over, beside a history that has not happened yet. So such an account's pages are
shown as of the last thing that has happened to it, and say so. Nothing is ever done as of then.
"""

from datetime import timedelta

from django.conf import settings
from django.db.models import Max
from django.http import HttpRequest

from accounts.core import clock
from accounts.customers.account import Account

#: What happens while a page is made is no future.
NEAR = timedelta(minutes=1)


def show_as_of_its_last(request: HttpRequest, account: Account) -> None:
    """Have this page show the account as of the last thing that has happened to it, if that is ahead of the clock."""
    if not settings.ALLOW_TIME_TRAVEL:
        return
    last = account.events.aggregate(last=Max("at"))["last"]
    if last and last > clock.now() + NEAR:
        clock.carry(request, last)
