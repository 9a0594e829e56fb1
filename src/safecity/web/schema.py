"""The OpenAPI document (3.1) of everything that the web room answers."""

from typing import Any

import msgspec
from litestar import Request, Router
from litestar.enums import OpenAPIMediaType
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from safecity import __version__
from safecity.access.policy import Action
from safecity.web import calls, ringing, telemetry
from safecity.web.gate import COOKIE, needs

PATH = "/schema"
DOCUMENT = "/openapi.json"


class WholeDocument(OpenAPIRenderPlugin):
    """The framework's document with the telemetry route that stands beside the framework."""

    def __init__(self) -> None:
        """Serve as JSON."""
        super().__init__(path=DOCUMENT, media_type=OpenAPIMediaType.OPENAPI_JSON)

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the document."""
        paths, schemas = telemetry.openapi_path()
        call_body, call_schemas = ringing.openapi_body()
        given = openapi_schema["paths"]
        call = {**given[calls.PATH], "post": {**given[calls.PATH]["post"], "requestBody": call_body}}
        components = openapi_schema["components"]
        return msgspec.json.encode(
            {
                **openapi_schema,
                "paths": {**given, calls.PATH: call, **paths},
                "components": {**components, "schemas": {**components["schemas"], **call_schemas, **schemas}},
            }
        )


def openapi() -> OpenAPIConfig:
    """Return what the framework needs to write and serve the document, behind the gate."""
    return OpenAPIConfig(
        title="Safe City",
        version=__version__,
        description=(
            "People sign in and send the session cookie, and with every command the X-CSRF-Token header. "
            "Machines send a bearer token. Errors are {code, message}. Live sockets: /api/live and "
            "/api/cameras/{camera_id}/live."
        ),
        use_handler_docstrings=True,
        components=Components(
            security_schemes={
                "session": SecurityScheme(type="apiKey", name=COOKIE, security_scheme_in="cookie"),
                "bearer": SecurityScheme(type="http", scheme="bearer"),
            }
        ),
        security=[{"session": []}, {"bearer": []}],
        render_plugins=[WholeDocument()],
        openapi_router=Router(
            PATH, route_handlers=[], include_in_schema=False, opt=needs(Action.READ_SCHEMA, "schema")
        ),
    )
