"""The libraries that assign points to centroids and fit k-means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import vecrecall as vr
from vecrecall._runtime import set_isa
from vecrecall.cli.bench.peers import OURS, RESTRICTED

F32 = npt.NDArray[np.float32]
Labels = npt.NDArray[Any]  # of any integer type
VNNI = "vecrecall-avx512vnni"
BLOCK = 16_384  # points per product in torch, which would otherwise keep all distances


class ClusteringProblem(NamedTuple):
    """The size of a problem; `rounds` is 0 for an assignment."""

    points: int
    dim: int
    clusters: int
    rounds: int = 0

    def title(self) -> str:
        size = f"{self.points:,} x {self.dim}"
        if not self.rounds:
            return f"assign {size} to {self.clusters} centroids"
        return f"k-means of {size}, {self.clusters} clusters, {self.rounds} iterations"

    def quick(self) -> ClusteringProblem:
        return ClusteringProblem(
            self.points // 25, self.dim, self.clusters // 10, min(self.rounds, 5)
        )

    def data(self, seed: int) -> tuple[F32, F32]:
        """Make Gaussian points, some of them as centroids, identical in every process."""
        rng = np.random.default_rng(seed)
        points = rng.standard_normal((self.points, self.dim), dtype=np.float32)
        return points, points[rng.choice(self.points, self.clusters, replace=False)]


class Fitted(NamedTuple):
    """Centers, with the labels and the inertia that are checked for ours."""

    centers: F32
    labels: Labels | None = None
    inertia: float | None = None


# Assignment: maps points, centroids and threads to labels.


def assign(points: F32, centroids: F32, threads: int) -> Labels:
    return vr.assign(points, centroids, threads=threads).labels[:, 0]


def assign_by_vnni(points: F32, centroids: F32, threads: int) -> Labels:
    set_isa(RESTRICTED[VNNI])
    return assign(points, centroids, threads)


def superkmeans_assign(points: F32, centroids: F32, threads: int) -> Labels:
    from superkmeans import SuperKMeans

    return SuperKMeans(*centroids.shape, n_threads=threads).assign(points, centroids)


def faiss_assign(points: F32, centroids: F32, threads: int) -> Labels:
    import faiss

    faiss.omp_set_num_threads(threads)
    return faiss.knn(points, centroids, 1)[1][:, 0]


def torch_assign(points: F32, centroids: F32, threads: int) -> Labels:
    import torch

    torch.set_num_threads(threads)
    parts = torch.from_numpy(points).split(BLOCK)
    labels: Labels = torch.cat(torch_nearest(parts, torch.from_numpy(centroids))).numpy()
    return labels


def torch_nearest(parts: Any, centroids: Any) -> list[Any]:
    """Label points in parts. The lengths of the points do not change the order."""
    import torch

    lengths = (centroids * centroids).sum(1)
    return [torch.addmm(lengths, part, centroids.T, alpha=-2).argmin(1) for part in parts]


def sklearn_assign(points: F32, centroids: F32, threads: int) -> Labels:
    from sklearn.metrics import pairwise_distances_argmin

    return pairwise_distances_argmin(points, centroids)


# k-means: maps points, the problem and threads to centers.


def fit(points: F32, problem: ClusteringProblem, threads: int) -> Fitted:
    model = vr.KMeans(problem.clusters, max_iter=problem.rounds, tol=0, threads=threads).fit(points)
    return Fitted(model.cluster_centers_, model.labels_, model.inertia_)


def superkmeans_fit(points: F32, problem: ClusteringProblem, threads: int) -> Fitted:
    from superkmeans import SuperKMeans

    model = SuperKMeans(
        problem.clusters,
        problem.dim,
        hierarchical=False,
        iters=problem.rounds,
        sampling_fraction=1.0,
        max_points_per_cluster=len(points),
        early_termination=False,
        n_threads=threads,
    )
    return Fitted(model.train(points))


def faiss_fit(points: F32, problem: ClusteringProblem, threads: int) -> Fitted:
    import faiss

    faiss.omp_set_num_threads(threads)
    model = faiss.Kmeans(
        problem.dim, problem.clusters, niter=problem.rounds, max_points_per_centroid=len(points)
    )
    model.train(points)
    return Fitted(model.centroids)


def torch_fit(points: F32, problem: ClusteringProblem, threads: int) -> Fitted:
    """Run Lloyd's algorithm from random points; an empty cluster keeps its center."""
    import torch

    torch.set_num_threads(threads)
    whole = torch.from_numpy(points)
    parts = whole.split(BLOCK)
    first = torch.randperm(len(points), generator=torch.Generator().manual_seed(0))
    centers = whole[first[: problem.clusters]]
    for _ in range(problem.rounds):
        sums, counts = torch.zeros_like(centers), torch.zeros(problem.clusters, dtype=torch.long)
        for part, labels in zip(parts, torch_nearest(parts, centers), strict=True):
            sums.index_add_(0, labels, part)
            counts += torch.bincount(labels, minlength=problem.clusters)
        centers = torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], centers)
    return Fitted(centers.numpy())


def sklearn_fit(points: F32, problem: ClusteringProblem, threads: int) -> Fitted:
    from sklearn.cluster import KMeans

    model = KMeans(problem.clusters, n_init=1, max_iter=problem.rounds, tol=0, random_state=0)
    return Fitted(model.fit(points).cluster_centers_)


def minibatch_fit(points: F32, problem: ClusteringProblem, threads: int) -> Fitted:
    """Run at most as many passes; it is meant to end early, where batches do not improve."""
    from sklearn.cluster import MiniBatchKMeans

    model = MiniBatchKMeans(problem.clusters, n_init=1, max_iter=problem.rounds, random_state=0)
    return Fitted(model.fit(points).cluster_centers_)


class Peer(NamedTuple):
    """A package, and its functions that assign and fit, if it has them."""

    package: str
    assign: Callable[[F32, F32, int], Labels] | None
    fit: Callable[[F32, ClusteringProblem, int], Fitted] | None
    slow: bool = False  # a fit takes minutes: only if selected by name, or with --quick
    exact: bool = True  # every iteration of a fit uses all points


PEERS = {
    OURS: Peer("vecrecall", assign, fit),
    VNNI: Peer("vecrecall", assign_by_vnni, None),
    "superkmeans": Peer("superkmeans", superkmeans_assign, superkmeans_fit),
    "faiss": Peer("faiss-cpu", faiss_assign, faiss_fit),
    "torch": Peer("torch", torch_assign, torch_fit),
    "scikit-learn": Peer("scikit-learn", sklearn_assign, sklearn_fit, slow=True),
    "MiniBatchKMeans": Peer("scikit-learn", None, minibatch_fit, exact=False),
}
