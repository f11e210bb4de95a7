"""The setting `REMOTE_STORES`: what is wrong with it is named, with the place where it is."""

import json
from typing import Any

import pytest

from accounts.core.registry import AlreadyRegistered
from accounts.elsewhere import store
from accounts.elsewhere.store import RemoteStore, of_setting

SECRET = "whsec_" + "QUJD" * 11
ENTRY: dict[str, Any] = {
    "name": "analytics",
    "address": "https://analytics.example/erasures/",
    "secret": SECRET,
    "promised_days": 7,
}


def test_a_store_is_read_with_what_is_usual_left_out() -> None:
    found, wrong = of_setting(json.dumps([ENTRY]), https=True)
    assert wrong == []
    assert found == [RemoteStore("analytics", "https://analytics.example/erasures", (SECRET,), 7, 5.0, False, 15.0)]
    assert of_setting("  ", https=True) == ([], [])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "Analytics!"}, "REMOTE_STORES, store 1: 'name' must be lower-case letters"),
        ({"name": 7}, "'name' and 'address' must be texts"),
        ({"address": "http://analytics.example/"}, "store 1 ('analytics'): 'address' must be an https address"),
        ({"address": "https://user@analytics.example/"}, "must have no user"),
        ({"address": "https://analytics.example/?a=1"}, "no query"),
        ({"address": "https://analytics.example:port/"}, "is no address"),
        ({"address": "analytics.example"}, "must be an http or https address"),
        ({"secret": "whsec_QUJD"}, "a secret must be 'whsec_' and 24 to 64 random bytes"),
        ({"secrets": [SECRET]}, "and not both"),
        ({"promised_days": 0}, "'promised_days' must be 1 to 365"),
        ({"promised_days": True}, "'promised_days' must be a whole number"),
        ({"rate": 0}, "'rate' must be more than 0"),
        ({"rate": "20"}, "'rate' must be a number"),
        ({"before_ours": "yes"}, "'before_ours' must be true or false"),
        ({"timeout": 600}, "'timeout' must be more than 0 and at most 60 seconds"),
        ({"promise": 7}, "there is no 'promise'; it may have address, before_ours"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], says: str) -> None:
    found, (wrong,) = of_setting(json.dumps([{**ENTRY, **changes}]), https=True)
    assert found == []
    assert says in wrong
    assert SECRET not in wrong


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[{", "REMOTE_STORES is not JSON"),
        ("{}", "must be a JSON list"),
        ("[7]", "store 1: must be an object"),
        (json.dumps([ENTRY, ENTRY]), "store 2 ('analytics'): two stores have this name"),
        (json.dumps([{"name": "a"}]), "'address' is missing"),
        (json.dumps([{**ENTRY, "rate": 1e400}]).replace("Infinity", "NaN"), "'rate' must be more than 0"),
    ],
)
def test_a_list_that_is_none_is_named(text: str, says: str) -> None:
    _found, (wrong,) = of_setting(text, https=True)
    assert says in wrong


def test_plain_http_is_for_machines_of_ones_own() -> None:
    found, wrong = of_setting(json.dumps([{**ENTRY, "address": "http://127.0.0.1:8920/"}]), https=False)
    assert (len(found), wrong) == (1, [])


def test_an_app_declares_its_stores_and_a_name_is_taken_once(settings: Any) -> None:
    mine = RemoteStore("search", "https://search.example/erasures", (SECRET,), promised_days=1)
    with store.REGISTRY.replaced():
        store.install([mine])
        assert store.named("search") == mine
        with pytest.raises(ValueError, match="promised_days"):
            store.install([RemoteStore("other", "https://search.example/", (SECRET,), promised_days=0)])
        settings.REMOTE_STORES = [mine]
        with pytest.raises(AlreadyRegistered):
            store.install([mine])
