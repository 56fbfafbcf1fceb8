"""Bodies of requests: what they may say, and how they are read."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from vecrecall.serve._errors import RequestError, bad_field, of_schema

Key = Annotated[int, Meta(ge=0, le=2**63 - 1)] | Annotated[str, Meta(max_length=1000)]
K = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Tag = Annotated[int, Meta(ge=-1, le=2**63 - 1)]
Cluster = Annotated[int, Meta(ge=-1, le=2**31 - 1)]
Clusters = list[Cluster | list[Cluster]]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
T = TypeVar("T", bound=Struct)


class _Body(Struct, frozen=True, forbid_unknown_fields=True):
    """A JSON object without unknown fields."""


class RecallRequest(_Body, frozen=True):
    """Recall for some users: every field has a row per user.

    Attributes
    ----------
    users : list, optional
        Keys or numbers of users. Known histories and vectors stand for fields that are
        left out; unknown users are new ones.
    history : list of lists, optional
        Items, the latest first.
    history_weights, tags, tag_weights, tag_groups : lists of lists, optional
        As of `vecrecall.RequestBatch`.
    vectors : dict of str to lists, optional
        User vectors by name.
    clusters : list, or dict of str to list, optional
        The cluster or clusters of each user, perhaps by grouping.
    seen : list of lists, optional
        Items that are left out; default the history.
    filters : list of str
        Recall only items that all of these filters have.
    k : int
    explain : bool
        Say where each item came from.
    deadline : float, optional
        Seconds.
    """

    users: list[Key] | None = None
    history: list[list[Key]] | None = None
    history_weights: list[list[float]] | None = None
    tags: list[list[Tag]] | None = None
    tag_weights: list[list[float]] | None = None
    tag_groups: list[list[Tag]] | None = None
    vectors: dict[str, list[list[float]]] | None = None
    clusters: Clusters | dict[str, Clusters] | None = None
    seen: list[list[Key]] | None = None
    filters: list[Name] = []
    k: K = 10
    explain: bool = False
    deadline: Seconds | None = None


class SearchRequest(_Body, frozen=True):
    """Search one index.

    Attributes
    ----------
    vectors : list of lists
        The queries.
    index : str, optional
        Needed where there are several.
    exclude : list of lists, optional
        Items that a query must not get.
    filters : list of str
    k : int
    min_score : float, optional
    probes : int or "exact", optional
        Of an index in lists: as of `vecrecall.IVFIndex.search`.
    deadline : float, optional
    """

    vectors: list[list[float]]
    index: Name | None = None
    exclude: list[list[Key]] | None = None
    filters: list[Name] = []
    k: K = 10
    min_score: float | None = None
    probes: K | Literal["exact"] | None = None
    deadline: Seconds | None = None


class ItemsRequest(_Body, frozen=True):
    """Add, update or remove items.

    Attributes
    ----------
    operation : {"add", "update", "remove"}
    items : list
        Keys or ids, each once.
    vectors : dict of str to lists, optional
        A row per item, by index; not for a removal.
    bias : dict of str to list of float, optional
        What is added to the score of each item, by index; default 0.
    missing : {"error", "ignore"}
        Of a removal: what to do with unknown items.
    """

    operation: Literal["add", "update", "remove"]
    items: Annotated[list[Key], Meta(min_length=1)]
    vectors: dict[str, list[list[float]]] | None = None
    bias: dict[str, list[float]] | None = None
    missing: Literal["error", "ignore"] = "error"


class EventsRequest(_Body, frozen=True):
    """Clicks: every field has a row per click.

    Attributes
    ----------
    items : list
    users : list, optional
        Known users' clusters are those of the service.
    clusters : list of int, optional
        Needed where users are not given, or not known.
    times : list of float, optional
        Default now; for a feed whose clock is that of its events the newest of them.
    weights : list of float, optional
    feed : str, optional
        Default all feeds, where users are given.
    """

    items: Annotated[list[Key], Meta(min_length=1)]
    users: list[Key] | None = None
    clusters: list[Annotated[int, Meta(ge=0, le=2**31 - 1)]] | None = None
    times: list[float] | None = None
    weights: list[Annotated[float, Meta(ge=0)]] | None = None
    feed: Name | None = None


class FiltersRequest(_Body, frozen=True):
    """Change a named filter.

    Attributes
    ----------
    name : str
    operation : {"set", "add", "remove", "delete"}
    items : list
    """

    name: Name
    operation: Literal["set", "add", "remove", "delete"] = "set"
    items: list[Key] = []


class VersionsRequest(_Body, frozen=True):
    """Serve other artifacts, or those before.

    Attributes
    ----------
    operation : {"publish", "rollback", "fold"}
    folder : str, optional
        Of a publication: a saved system or a TOML file on the machine of the service.
    since : int, optional
        Of a publication: apply the changes after this number; default all since the last one.
    """

    operation: Literal["publish", "rollback", "fold"]
    folder: str | None = None
    since: Annotated[int, Meta(ge=0)] | None = None


def read(body: bytes, schema: type[T]) -> T:
    """Read a body.

    Raises
    ------
    RequestError
        Of status 400, with the path of the field.
    """
    try:
        return msgspec.json.decode(body, type=schema)
    except msgspec.ValidationError as error:
        refused = error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _refuse_no_numbers(body)
        raise bad_field("body", "JSON", _reason(error)) from None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise bad_field("body", "JSON", _reason(error)) from None
    found = _first_infinite(value, "")
    if found is not None:
        raise bad_field(found[0], "a number that fits float64", "one beyond it")
    raise of_schema(refused, value, schema, lambda value: _check(value, schema)) from None


def _check(value: Any, schema: type[Struct]) -> None:
    # Through text: integers of any size and keys are then those of JSON.
    msgspec.json.decode(json.dumps(value).encode(), type=schema)


def _refuse_no_numbers(body: bytes) -> None:
    """Say where there is a NaN or an infinity, which are no JSON but written by some."""
    try:
        found = _first_infinite(json.loads(body), "")
    except (ValueError, RecursionError):
        return
    if found is not None:
        raise bad_field(found[0] or "body", "a finite number", found[1])


def _first_infinite(value: Any, path: str) -> tuple[str, str] | None:
    """Find a number that is not finite: NaN, Infinity, or too large for a float."""
    if isinstance(value, float):
        named = "NaN" if math.isnan(value) else "-Infinity" if value < 0 else "Infinity"
        return None if math.isfinite(value) else (path, named)
    if isinstance(value, dict):
        inside = ((inner, f"{path}.{key}" if path else key) for key, inner in value.items())
    elif isinstance(value, list):
        inside = ((inner, f"{path}[{place}]") for place, inner in enumerate(value))
    else:
        return None
    return next((found for inner, at in inside if (found := _first_infinite(inner, at))), None)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "too many levels"
    return str(error).removeprefix("JSON is malformed: ")


__all__ = [
    "EventsRequest",
    "FiltersRequest",
    "ItemsRequest",
    "RecallRequest",
    "RequestError",
    "SearchRequest",
    "VersionsRequest",
    "read",
]
