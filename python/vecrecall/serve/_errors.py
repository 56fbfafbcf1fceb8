"""Errors that a client is told, each with its status and the place in the request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import inspect

_EXPECTED_GOT = re.compile(r"(?s)(?P<field>[^\s:]+): expected (?P<expected>.*), got (?P<got>.*)")
_MSGSPEC = re.compile(r"(?s)(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?")
_MSGSPEC_GOT = re.compile(r"(?s)Expected `?(?P<expected>.*?)`?, got `?(?P<got>.*?)`?")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")
_TOKEN = re.compile(r"\.(?P<name>[^.\[\]`]+)|\[(?P<place>\d+)\]|\[\.\.\.\]")
_LONGEST = 200
_MOST_KEYS = 1000


class RequestError(Exception):
    """The reason why a request is not answered.

    Parameters
    ----------
    status : int
        Of HTTP.
    message : str
    field : str, optional
        The path of the field, such as ``vectors.dssm[3]``.
    expected, got : str, optional
    headers : mapping of str to str, optional
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        field: str | None = None,
        expected: str | None = None,
        got: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.field = field
        self.expected = expected
        self.got = got
        self.headers = dict(headers or {})

    def body(self) -> dict[str, object]:
        """Return what the client gets as JSON."""
        about = {"field": self.field, "expected": self.expected, "got": self.got}
        known = {name: value for name, value in about.items() if value is not None}
        return {"error": {"message": str(self), **known}}


def bad_field(field: str, expected: str, got: object, status: int = 400) -> RequestError:
    """Return the error of a field whose value is not as expected."""
    short = got if isinstance(got, str) else repr(got)
    short = short if len(short) <= _LONGEST else f"{short[:_LONGEST]}..."
    message = f"{field}: expected {expected}, got {short}"
    return RequestError(status, message, field=field, expected=expected, got=short)


def of_library(error: Exception, status: int = 400) -> RequestError:
    """Return what the client is told of an argument that the library refuses."""
    text = str(error.args[0]) if error.args else str(error)
    found = _EXPECTED_GOT.fullmatch(text)
    if found:
        return bad_field(found["field"], found["expected"], found["got"], status)
    field, colon, _ = text.partition(": ")
    return RequestError(status, text, field=field if colon and " " not in field else None)


def of_schema(
    error: Exception,
    value: Any,
    schema: type,
    check: Callable[[Any], object],
    root: str = "body",
) -> RequestError:
    """Return what is told of JSON or TOML that the schema refuses.

    Parameters
    ----------
    error : Exception
        Of msgspec, whose paths leave out the keys of mappings.
    value : object
        What was checked.
    schema : type
    check : callable
        Checks it again: a mapping's keys are tried one after the other.
    root : str
        A name for the whole.
    """
    found = _MSGSPEC.fullmatch(str(error))
    what, path = (found["what"], found["path"]) if found else (str(error), None)
    keys: list[str | int] = []
    inner = value
    for token in _TOKEN.finditer(path or ""):
        key: str | int | None
        if token["name"] is not None:
            key = token["name"]
        elif token["place"] is not None:
            key = int(token["place"])
        else:
            key = _failing_key(value, keys, inner, str(error), check)
        if key is None:
            break
        keys.append(key)
        inner = inner[key] if _has(inner, key) else None
    for pattern, expected in ((_UNKNOWN, "a known field"), (_MISSING, "a value")):
        named = pattern.fullmatch(what)
        if named:
            field = _written([*keys, named["name"]])
            got = repr(named["name"]) if pattern is _UNKNOWN else "none"
            return bad_field(field, expected, got)
    pair = _MSGSPEC_GOT.fullmatch(what)
    expected = (pair["expected"] if pair else what.removeprefix("Expected ")).replace("`", "")
    if what.startswith("Invalid"):  # a word that is none of several
        expected = f"one of {', '.join(map(repr, _words(inspect.type_info(schema), keys)))}"
    scalar = inner is None or isinstance(inner, (str, int, float, bool))
    got = json.dumps(inner) if scalar else (pair["got"] if pair else type(inner).__name__)
    if isinstance(inner, list) and "of length" in expected:
        expected, got = expected.replace("array", "a list"), f"one of length {len(inner)}"
    return bad_field(_written(keys) or root, expected, got)


def _words(of: inspect.Type, keys: Sequence[str | int]) -> list[str]:
    """List the words that a schema has at a place."""
    if isinstance(of, inspect.UnionType):
        return [word for one in of.types for word in _words(one, keys)]
    if not keys:
        return [str(word) for word in of.values] if isinstance(of, inspect.LiteralType) else []
    if isinstance(of, inspect.StructType):
        if keys == [of.tag_field]:
            return [str(of.tag)]
        inside = [field.type for field in of.fields if field.encode_name == keys[0]]
        return [word for one in inside for word in _words(one, keys[1:])]
    if isinstance(of, inspect.DictType):
        return _words(of.value_type, keys[1:])
    return _words(of.item_type, keys[1:]) if isinstance(of, inspect.ListType) else []


def _failing_key(
    root: Any, keys: list[str | int], inner: Any, message: str, check: Callable[[Any], object]
) -> str | None:
    """Find the key of a mapping whose value is refused."""
    for key in list(inner)[:_MOST_KEYS] if isinstance(inner, dict) else ():
        try:
            check(_replaced(root, keys, {key: inner[key]}))
        except Exception as error:
            if str(error) == message:
                return str(key)
    return None


def _replaced(value: Any, keys: list[str | int], inner: Any) -> Any:
    """Copy a value with another one in a place inside of it."""
    if not keys:
        return inner
    twin = value.copy()
    twin[keys[0]] = _replaced(value[keys[0]], keys[1:], inner)
    return twin


def _has(value: Any, key: str | int) -> bool:
    if isinstance(value, dict):
        return key in value
    return isinstance(value, list) and isinstance(key, int) and key < len(value)


def _written(keys: list[str | int]) -> str:
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return text.removeprefix(".")
