"""The OpenAPI document says everything that is served, and only that."""

import re
from typing import Any

import pytest

from safecity.access.policy import Role
from safecity.web.app import demands
from safecity.web.telemetry import PATH as TELEMETRY
from web_house import House

pytestmark = pytest.mark.engines


def _template(path: str) -> str:
    return re.sub(r"\{([a-z_]+):[a-z]+\}", r"{\1}", path)


async def _document(house: House) -> dict[str, Any]:
    person = await house.person(Role.DISPATCHER)
    answer = await person.get("/schema/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json())


async def test_every_route_is_documented(house: House) -> None:
    document = await _document(house)
    assert document["openapi"].startswith("3.1")
    written = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    served = {
        (method, _template(path))
        for method, path, _ in demands(house.app.framework)
        if method not in ("OPTIONS", "SOCKET") and (path.startswith("/api") or path in WRITTEN)
    }
    assert written == served | {("POST", TELEMETRY)}


WRITTEN = ("/health", "/metrics", "/city.json", "/basemap/city.pmtiles")


async def test_every_operation_has_words_and_every_reference_leads_somewhere(house: House) -> None:
    document = await _document(house)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation.get("description"), (method, path)
    schemas = document["components"]["schemas"]
    for name in re.findall(r"#/components/schemas/([^\"']+)", str(document)):
        assert name in schemas


async def test_commands_document_their_key(house: House) -> None:
    document = await _document(house)
    operation = document["paths"]["/api/incidents/{incident_id}/acknowledge"]["post"]
    (key,) = [found for found in operation["parameters"] if found["in"] == "header"]
    assert key["name"].lower() == "idempotency-key"
    assert key["required"] is True


async def test_the_framework_shows_nothing_else(house: House) -> None:
    person = await house.person(Role.DISPATCHER)
    for path in ("/schema", "/schema/swagger", "/schema/redoc"):
        answer = await person.get(path)
        assert "<script" not in answer.text
