"""The description of the routes by OpenAPI, made of the schemas that bodies are read by."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import msgspec

from vecrecall.serve import _requests

_ROUTES = {
    "/v1/recall": (_requests.RecallRequest, "Recall for users, by all channels."),
    "/v1/search": (_requests.SearchRequest, "Search one index."),
    "/v1/items": (_requests.ItemsRequest, "Add, update or remove items."),
    "/v1/events": (_requests.EventsRequest, "Take clicks into feeds."),
    "/v1/filters": (_requests.FiltersRequest, "Change a named filter."),
    "/v1/versions": (_requests.VersionsRequest, "Publish other artifacts, or roll back."),
}
_LISTS = {
    "type": "object",
    "required": ["items", "scores", "version"],
    "properties": {
        "items": {"type": "array", "items": {"type": "array"}},
        "scores": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        "version": {"type": "integer"},
    },
}
_RECALLED = {
    **_LISTS,
    "properties": {
        **_LISTS["properties"],  # type: ignore[dict-item]  # a mapping
        "missing": {"type": "object", "additionalProperties": {"type": "string"}},
        "channels": {"type": "array", "items": {"type": "string"}},
        "ranks": {"type": "array"},
        "channel_scores": {"type": "array"},
    },
}
_CHANGED = {
    "type": "object",
    "required": ["position"],
    "properties": {"position": {"type": "integer"}},
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message"],
            "properties": {
                name: {"type": "string"} for name in ("message", "field", "expected", "got")
            },
        }
    },
}
_ANSWERS = {"/v1/recall": _RECALLED, "/v1/search": _LISTS}
_STATUSES = {
    "400": "A field is not as expected",
    "401": "The bearer token is missing or wrong",
    "404": "Something named is not there",
    "408": "The body did not come in time",
    "409": "An item is there already",
    "413": "More bytes, users or users x k than is allowed",
    "503": "The service starts, ends, or has too much to do; see Retry-After",
    "504": "The deadline passed",
}


def document() -> dict[str, Any]:
    """Return the description."""
    types = [schema for schema, _ in _ROUTES.values()]
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, Any] = {}
    for (path, (_, summary)), schema in zip(_ROUTES.items(), schemas, strict=True):
        paths[path] = {"post": _post(summary, schema, _ANSWERS.get(path, _CHANGED))}
    paths["/healthz"] = {"get": _get("Alive", {"200": "Alive"})}
    paths["/readyz"] = {"get": _get("May be sent traffic", {"200": "Ready", "503": "Not ready"})}
    paths["/metrics"] = {"get": _get("Figures for Prometheus", {"200": "Text"})}
    return {
        "openapi": "3.1.0",
        "info": {"title": "vecrecall", "version": version("vecrecall")},
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _post(summary: str, schema: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    answers = {
        "200": {"description": "Done", "content": {"application/json": {"schema": answer}}},
        **{status: {"description": text, "content": error} for status, text in _STATUSES.items()},
    }
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"summary": summary, "requestBody": body, "responses": answers}


def _get(summary: str, answers: dict[str, str]) -> dict[str, Any]:
    responses = {status: {"description": text} for status, text in answers.items()}
    return {"summary": summary, "responses": responses}
