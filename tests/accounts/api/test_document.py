"""The document of the API: what is committed is what the code says, and what is served."""

from typing import Any

from django.conf import settings
from django.test import Client

from accounts.api import application, problems
from accounts.management.commands.openapi import PATH
from tests.accounts.api.calling import problem


def test_the_committed_document_is_what_the_code_says() -> None:
    told = "run `manage.py openapi --write` and look at what has changed for those who call the API"
    assert PATH.read_text(encoding="utf-8") == application.served(), told


def test_it_is_served_as_it_is_committed_and_to_everybody() -> None:
    response = Client().get("/api/v1/openapi.json")
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert response.content == PATH.read_bytes()


def test_every_operation_names_its_scope_and_its_problems() -> None:
    document = application.document()
    assert document["openapi"] == "3.1.0"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["security"][0]["Token"], path
            assert {"401", "403", "429"} <= set(operation["responses"]), path
            for status, answered in operation["responses"].items():
                has_schema = "content" in answered or "$ref" in answered
                assert has_schema or status in ("204", "304"), f"{method} {path} {status}"


def test_every_type_of_problem_leads_to_its_page() -> None:
    for code in problems.CODES.values():
        response = Client().get(code.type.removeprefix(settings.SITE_URL))
        assert response.json()["code"] == code.name
    assert problem(Client().get("/api/v1/problems/nothing/")) == (404, "not_found")


def test_refused_before_any_door_it_is_a_problem_too() -> None:
    client: Any = Client(raise_request_exception=False)
    assert problem(client.get("/api/v1/nothing/")) == (404, "not_found")
    assert problem(client.get("/api/v1/accounts")) == (404, "not_found")
    assert problem(client.get("/api/v1/")) == (404, "not_found")
    assert problem(client.get("/api/v1/accounts/%00/")) == (400, "bad_request")
    assert problem(client.get("/api/v1/accounts/?a=%00")) == (400, "bad_request")
    wrong = client.delete("/api/v1/accounts/")
    assert problem(wrong) == (405, "method_not_allowed")
    assert set(wrong["Allow"].split(", ")) == {"GET", "POST"}
    charset = client.post("/api/v1/accounts/", b"{}", content_type="application/json; charset=utf-7")
    assert problem(charset) == (415, "unsupported_media_type")
