"""Takes what we use out of GitHub's OpenAPI description and octokit's webhook examples. See README.md beside it."""

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

ANSWERS = (
    "GET /marketplace_listing/plans",
    "GET /marketplace_listing/plans/{plan_id}/accounts",
    "GET /marketplace_listing/accounts/{account_id}",
    "GET /marketplace_listing/stubbed/plans",
    "GET /marketplace_listing/stubbed/plans/{plan_id}/accounts",
    "GET /marketplace_listing/stubbed/accounts/{account_id}",
    "GET /user/marketplace_purchases",
    "GET /user/marketplace_purchases/stubbed",
    "GET /user",
    "GET /user/emails",
    "GET /meta",
    "POST /applications/{client_id}/token",
    "DELETE /applications/{client_id}/token",
    "DELETE /applications/{client_id}/grant",
    "GET /repos/{owner}/{repo}/hooks",
    "GET /repos/{owner}/{repo}/hooks/{hook_id}",
    "DELETE /repos/{owner}/{repo}/hooks/{hook_id}",
    "DELETE /app/installations/{installation_id}",
)
DELIVERIES = ("purchased", "changed", "pending_change", "pending_change_cancelled", "cancelled")
EXAMPLES = ("marketplace_purchase", "ping")

# Large, and never sent.
LEFT_OUT = frozenset(
    {
        "enterprise-webhooks",
        "nullable-scoped-installation",
        "organization-simple-webhooks",
        "repository-webhooks",
        "simple-installation",
    }
)
# Words about a value, not rules for it.
REMARKS = frozenset({"description", "example", "examples", "title", "externalDocs", "discriminator"})


class Extract:
    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description
        self.definitions: dict[str, Any] = {}

    def answers(self, endpoint: str) -> dict[str, Any]:
        """The schema for each documented status; null where there is no body."""
        method, path = endpoint.split(" ")
        found = self.description["paths"][path][method.lower()]["responses"]
        return {status: self._body(answer) for status, answer in sorted(found.items())}

    def delivery(self, action: str) -> Any:
        event = self.description["x-webhooks"][f"marketplace-purchase-{action.replace('_', '-')}"]
        return self._body(event["post"]["requestBody"])

    def _body(self, answer: dict[str, Any]) -> Any:
        if "$ref" in answer:
            answer = self._target(answer["$ref"])
        content = answer.get("content", {}).get("application/json")
        return self._schema(content["schema"]) if content else None

    def _schema(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self._schema(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        if "$ref" in schema:
            return self._reference(schema["$ref"])
        plain = {name: self._keyword(name, value) for name, value in schema.items() if name not in REMARKS}
        if not plain.pop("nullable", False):
            return plain
        if "enum" in plain:
            plain["enum"] = [*plain["enum"], None]
        if isinstance(plain.get("type"), str):
            plain["type"] = [plain["type"], "null"]
            return plain
        return {"anyOf": [plain, {"type": "null"}]} if plain else {}

    def _keyword(self, name: str, value: Any) -> Any:
        # The names under "properties" are not keywords: one may well be called "description".
        if name == "properties":
            return {each: self._schema(schema) for each, schema in value.items()}
        return value if name in ("enum", "required", "default") else self._schema(value)

    def _reference(self, reference: str) -> Any:
        name = reference.rsplit("/", 1)[1]
        if name in LEFT_OUT:
            return False
        if name not in self.definitions:
            self.definitions[name] = None  # it may refer to itself
            self.definitions[name] = self._schema(self._target(reference))
        return {"$ref": f"#/definitions/{name}"}

    def _target(self, reference: str) -> Any:
        target = self.description
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        return target


def main(openapi: Path, examples: Path) -> None:
    extract = Extract(json.loads((openapi / "generated/api.github.com.json").read_text()))
    _write(
        HERE / "github.json",
        {
            "source": _source(openapi),
            "answers": {endpoint: extract.answers(endpoint) for endpoint in ANSWERS},
            "deliveries": {action: extract.delivery(action) for action in DELIVERIES},
            "definitions": dict(sorted(extract.definitions.items())),
        },
    )
    events = json.loads((examples / "api.github.com/index.json").read_text())
    _write(
        HERE.parent / "octokit_examples.json",
        {
            "source": _source(examples),
            **{event["name"]: event["examples"] for event in events if event["name"] in EXAMPLES},
        },
    )


def _source(package: Path) -> dict[str, str]:
    about = json.loads((package / "package.json").read_text())
    return {"package": about["name"], "version": about["version"], "licence": about["license"]}


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
