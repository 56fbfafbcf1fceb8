"""The same bits after another library has changed the floating-point environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import fp_control
import numpy as np
import numpy.typing as npt
import pytest
import reference
from comparison import METRICS, Metric, assert_same_bits, assert_same_float32
from datasets import HARD, normal

import vecrecall as vr

pytestmark = [
    pytest.mark.skipif(not fp_control.COMPILER, reason="needs a C compiler: none was found"),
    pytest.mark.skipif(not fp_control.MODES, reason="this machine's control register is unknown"),
]

F32 = npt.NDArray[np.float32]
N = 9000  # several blocks, so that workers take part


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> fp_control.Control:
    return fp_control.compiled(tmp_path_factory.mktemp("control"))


@pytest.fixture(params=fp_control.MODES)
def mode(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_the_helper_changes_arithmetic(control: fp_control.Control) -> None:
    one, tiny = np.ones(1), np.full(1, 1e-45, np.float32)
    with control.changed("flush"):
        flushed = tiny + tiny
    with control.changed("up"):
        up = one + 1e-20
    assert flushed[0] == 0
    assert up[0] > 1
    assert (tiny + tiny)[0] > 0
    assert (one + 1e-20)[0] == 1


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", ["gaussian", "denormals", "all_exponents", "half_way"])
def test_search(
    name: str,
    metric: Metric,
    mode: str,
    isa: str,
    control: fp_control.Control,
    rng: np.random.Generator,
) -> None:
    queries, items = HARD[name](rng, 7, N, 11)
    matrix = reference.scores(queries, items, metric)
    expected = reference.select(matrix, np.arange(N), 50)
    for threads in (1, 2, 5):
        with control.changed(mode):
            index = vr.FlatIndex(items, metric=metric, threads=threads)
            found = index.search(queries, 50, threads=threads)
            again = vr.topk(queries[:1], items, 50, metric=metric, threads=threads)
        assert_same_bits(found, *expected)
        assert_same_bits(again, *(part[:1] for part in expected))


def test_bias_score_and_min_score(
    mode: str, isa: str, control: fp_control.Control, rng: np.random.Generator
) -> None:
    queries, items = HARD["half_way"](rng, 3, N, 5)
    bias = rng.choice(np.array([1, 1e-40, -1], np.float32), N)
    matrix = reference.scores(queries, items, "ip", bias)
    limit = float(matrix[0, N // 2])
    keep = matrix >= limit
    everything = [np.arange(N)] * 3
    with control.changed(mode):
        index = vr.FlatIndex(items, bias=bias)
        found = index.search(queries, 500, min_score=limit)
        scored = index.score(queries, everything)
    assert_same_bits(found, *reference.select(matrix, np.arange(N), 500, keep))
    assert_same_float32(scored.values, matrix.ravel())


def test_wider_floats_are_converted_to_nearest(
    mode: str, control: fp_control.Control, rng: np.random.Generator
) -> None:
    queries, items = rng.standard_normal((3, 6)), rng.standard_normal((N, 6))
    items[::7] *= 1e-41
    narrow = items.astype(np.float32)
    matrix = reference.scores(queries.astype(np.float32), narrow)
    with control.changed(mode):
        index = vr.FlatIndex(items)
        found = index.search(queries, 30)
    assert_same_bits(found, *reference.select(matrix, np.arange(N), 30))
    assert_same_float32(index.vectors(np.arange(N)), narrow)


def test_pool_and_merges(
    mode: str, isa: str, control: fp_control.Control, rng: np.random.Generator
) -> None:
    table = normal(rng, 400, 9)
    table[::3] *= 1e-39
    rows = rng.integers(-1, 400, (2500, 6)).tolist()
    weights = rng.standard_normal((2500, 6)).astype(np.float32).tolist()
    queries, items = HARD["all_exponents"](rng, 6, 500, 9)
    lists = reference.search(queries, items, 40, min_score=-1e38)
    small = lists._replace(scores=lists.scores.clip(-1e38, 1e37))
    with control.changed(mode):
        mean = vr.pool(table, rows, weights, mode="mean", threads=2)
        joined = vr.merge_groups(vr.SearchResult(*small), [0, 4, 6], 50, aggregate="sum")
    # + 0.0: the sign of a zero is promised for scores only
    assert_same_float32(mean + 0.0, reference.pool(table, rows, weights, mode="mean"))
    assert_same_bits(joined, *reference.merge_groups(small, [0, 4, 6], 50, "sum")[:3])


FRESH = """
import sys
from pathlib import Path
import numpy as np
import fp_control, reference
from comparison import assert_same_bits
from datasets import HARD
import vecrecall as vr

queries, items = HARD["denormals"](np.random.default_rng(1), 40, 20_000, 8)
expected = reference.search(queries, items, 20)
control = fp_control.Control(Path(sys.argv[1]))
with control.changed("flush"):
    found = vr.topk(queries, items, 20, threads=5)
assert_same_bits(found, *expected)
assert_same_bits(vr.topk(queries, items, 20, threads=5), *expected)
"""


def test_workers_started_by_a_thread_that_flushes(control: fp_control.Control) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FRESH, str(control.library)],
        cwd=Path(__file__).parents[1] / "support",
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stderr
