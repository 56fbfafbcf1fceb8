"""A service for gunicorn: the index is made by the parent, searched and updated by the workers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import numpy as np

import vecrecall as vr

rng = np.random.default_rng(1)
index = vr.FlatIndex(rng.standard_normal((1000, 16), dtype=np.float32))
query = rng.standard_normal((1, 16), dtype=np.float32)
index.search(query, 10, threads=3)  # the parent has threads of its own
built_by = os.getpid()
new_ids = count(1000)


def application(environ: dict[str, Any], respond: Callable[..., Any]) -> Iterable[bytes]:
    index.add(np.zeros((1, 16), np.float32), [next(new_ids)])
    answer = {
        "parent": built_by,
        "worker": os.getpid(),
        "items": len(index),
        "best": int(index.search(query, 10, threads=3).ids[0, 0]),
    }
    respond("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
