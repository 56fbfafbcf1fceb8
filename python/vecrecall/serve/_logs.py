"""Logs: a JSON object per line."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
import traceback
from typing import Any

import orjson

_PAUSE = 0.1


class _JsonLines(logging.Formatter):
    """Writes a record and its fields as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        about = {
            "time": _written(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            about["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return _line(about)


class AccessLog:
    """A line per request, many written at once: one by itself costs as much as its answer.

    The level and the place are those of the logger ``vecrecall.serve.access``.
    """

    def __init__(self) -> None:
        self._logger = logging.getLogger("vecrecall.serve.access")
        self._waiting: list[tuple[float, dict[str, Any]]] = []

    def note(self, fields: dict[str, Any]) -> None:
        """Take the fields of a request that has ended."""
        if self._logger.isEnabledFor(logging.INFO):
            self._waiting.append((time.time(), fields))

    def write(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, []
        about = {"level": "info", "logger": self._logger.name, "message": "request"}
        own = {**about, "process": os.getpid()}
        lines = [_line({"time": _written(moment), **own, **fields}) for moment, fields in waiting]
        if lines:
            sys.stderr.write("\n".join([*lines, ""]))
            sys.stderr.flush()

    async def write_in_turns(self) -> None:
        """Write what waits, again and again."""
        while True:
            await asyncio.sleep(_PAUSE)
            self.write()


def _written(moment: float) -> str:
    whole = int(moment)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{text}.{int(1000 * (moment - whole)):03d}Z"


def _line(about: dict[str, Any]) -> str:
    try:
        return orjson.dumps(about, default=str).decode()
    except TypeError:  # of text that is no UTF-8
        return json.dumps(about, default=str)


def start(level: str) -> None:
    """Write the logs of this process to the standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("vecrecall").setLevel(level.upper())
    logging.captureWarnings(True)
