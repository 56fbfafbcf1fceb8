"""A plain service of FAISS to compare with: ``python -m benchmarks.serve.plain``.

Starlette, one search per request in a thread, JSON by the standard library: what is written in an
afternoon.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

import numpy as np


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve.plain")
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--kind", choices=["flat", "hnsw"], default="flat")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    import faiss
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    vectors = np.load(options.vectors)
    dim = vectors.shape[1]
    if options.kind == "flat":
        index = faiss.IndexFlatIP(dim)
    else:
        index = faiss.IndexHNSWFlat(dim, 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 40
        index.hnsw.efSearch = 128
    index.add(vectors)

    async def search(request: Request) -> Response:
        body = json.loads(await request.body())
        queries = np.array(body["vectors"], np.float32)
        exclude = body.get("exclude") or [[]] * len(queries)
        # Longer by what is left out afterwards.
        more = body["k"] + max(map(len, exclude), default=0)
        scores, ids = await asyncio.to_thread(index.search, queries, more)
        items, values = [], []
        for row, numbers, seen in zip(ids.tolist(), scores.tolist(), exclude, strict=True):
            left = set(seen)
            kept = [(i, s) for i, s in zip(row, numbers, strict=True) if i >= 0 and i not in left]
            items.append([i for i, _ in kept[: body["k"]]])
            values.append([s for _, s in kept[: body["k"]]])
        return JSONResponse({"items": items, "scores": values})

    async def ready(request: Request) -> Response:
        return JSONResponse({"status": "ready"})

    routes = [Route("/v1/search", search, methods=["POST"]), Route("/readyz", ready)]
    uvicorn.run(Starlette(routes=routes), port=options.port, access_log=False)


if __name__ == "__main__":
    main()
