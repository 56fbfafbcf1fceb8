"""Logs: a JSON object per line."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback

import orjson


class _JsonLines(logging.Formatter):
    """Writes a record and its fields as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        about = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0] is not None:
            about["exception"] = "".join(traceback.format_exception(*record.exc_info))
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
