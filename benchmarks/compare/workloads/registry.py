"""The workloads by name, with the peers of each."""

from __future__ import annotations

from benchmarks.compare.workload import Workload
from benchmarks.compare.workloads import (
    build,
    build_peers,
    churn,
    cluster,
    cluster_peers,
    filters,
    half,
    ivf,
    ivf_peers,
    merge,
    pool,
    recall,
    search,
    service,
    shards,
    towers,
)
from vecrecall.cli.bench.peers import PEERS

WORKLOADS = {
    "search": Workload("top-k, exact and approximate", search.run, list(PEERS)),
    "assign": Workload("nearest centroids", cluster.assignments, list(cluster_peers.PEERS)),
    "kmeans": Workload("k-means", cluster.fits, list(cluster_peers.PEERS)),
    "merge": Workload("reciprocal rank fusion", merge.run, list(merge.PEERS)),
    "pool": Workload("sums of bags of rows", pool.run, list(pool.PEERS)),
    "build": Workload("building an index, saving, loading", build.run, list(build_peers.PEERS)),
    "ivf": Workload("approximate indexes at equal recall", ivf.run, list(ivf_peers.PEERS)),
    "filters": Workload("cost that a filter adds to a search", filters.run, []),
    "churn": Workload("speed and memory of an index after updates", churn.run, []),
    "recall": Workload("cost that a recall adds to its searches", recall.run, []),
    "half": Workload("rows in half precision next to float32", half.run, []),
    "towers": Workload("users' vectors by ONNX and by torch", towers.run, []),
    "service": Workload("vecrecall serve next to services of FAISS", service.run, []),
    "shards": Workload("shards on Ray next to one index", shards.run, []),
}
