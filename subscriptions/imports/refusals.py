"""Why a row is not imported. The codes stand in docs/import.md; a text never quotes what the row says of a person."""


class RowRefused(Exception):
    """Nothing of this row was imported. `code` is for programs, `text` says to people what to do."""

    def __init__(self, code: str, text: str) -> None:
        self.code, self.text = code, text
        super().__init__(text)


class FileRefused(Exception):
    """Nothing of this file was imported: it can't be read at all. The message says what to do."""


#: Every code that a report can bear, and the text that goes with it; `invalid` and `cells` say more.
TEXTS: dict[str, str] = {
    "encoding": "This line is not UTF-8. Save the file as UTF-8 and import it again: what is there stays as it is.",
    "too_long": "This line is longer than any row can be. Is a line break or a closing quotation mark missing?",
    "json": "This line is no JSON object. A file that was cut off ends like this.",
    "cells": "This row does not have as many cells as the first line has names.",
    "quoting": "A quotation mark is opened and not closed, or closed in the middle of a cell.",
    "invalid": "",
    "marketplace": "What a marketplace sells is told by the marketplace: connect it, and leave the subscription out.",
    "free": "Free is what an account has without a subscription: leave the subscription out.",
    "unknown_plan": "There is no plan of this code.",
    "no_end": "What was bought from the sales team ends on a day: name it in `ends_at`.",
    "not_cancelled": "What was bought from the sales team does not renew, so nobody cancels it: name `ends_at` alone.",
    "starts_ahead": "It has not begun. Only a contract of the sales team may begin later.",
    "anchor_ahead": "Its cycles begin in the future, and there is no trial until then.",
    "anchor_before_start": "Its cycles begin before it does.",
    "anchor_not_trial_end": "With a trial, cycles begin when that ends: leave `anchor_at` out.",
    "trial_before_start": "Its trial ends before it begins, or just then.",
    "ends_before_start": "It ends before it begins, or just then.",
    "cancelled_outside": "It was cancelled before it began, after it ended, or in the future.",
    "two_places": "Somebody has two places in this account: each address may stand there once.",
    "erased": "This customer was imported before and erased since: nobody who was erased comes back by a file.",
    "to_be_erased": "The account is being erased, or is about to be: nothing is added to it.",
    "deactivated": "The account is deactivated: nothing is added to it.",
    "person_differs": "This address is known with another external id, or this external id with another address.",
    "name_differs": "An account of this external id is here under another name.",
    "owner_differs": "An account of this external id is here with another owner.",
    "role_differs": "Somebody named here is a member in another role.",
    "subscription_differs": "This subscription is here with other terms.",
    "subscription_taken": "A subscription of this external id is here and belongs to another account.",
    "overlaps": "The account holds another subscription in the same time.",
    "conflict": "Somebody else wrote about the same customer just then. Import the file again.",
}


def refused(code: str) -> RowRefused:
    return RowRefused(code, TEXTS[code])
