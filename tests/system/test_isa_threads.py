"""Choosing the instruction set and the number of threads, by call and by environment."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import reference
from comparison import ISAS, assert_same_bits
from datasets import HARD

import vecrecall as vr

NAMES = ["baseline", "avx2", "avx512", "avx512vnni", "amx", "neon"]
USE = "vr.topk(np.ones((2, 3), np.float32), np.ones((5, 3), np.float32), 2)"


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter of its own, without the caller's settings."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("VECRECALL_")}
    script = f"import os, sys\nimport numpy as np\nimport vecrecall as vr\n{code}"
    return subprocess.run(
        [sys.executable, "-c", script],
        env=env | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def printed(code: str, **environment: str) -> str:
    run = python(code, **environment)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def error_at_first_use(use: str, **environment: str) -> str:
    """The message of the error that the second line raises, after an import that works."""
    code = f"""
print("imported")
for _ in range(2):
    try:
        {use}
    except (ValueError, RuntimeError) as error:
        print(error)
    else:
        sys.exit("no error")
"""
    lines = printed(code, **environment).splitlines()
    assert lines[0] == "imported"
    half = 1 + len(lines) // 2
    assert lines[1:half] == lines[half:]
    return "\n".join(lines[1:half])


@pytest.fixture
def default_threads() -> Iterator[int]:
    """Puts the number of threads back."""
    before = vr.get_num_threads()
    yield before
    vr.set_num_threads(before)


def test_available_isas() -> None:
    assert "baseline" in ISAS
    assert set(ISAS) <= set(NAMES)
    assert len(set(ISAS)) == len(ISAS)
    assert vr.isa() in ISAS


def test_unavailable_isas_say_why() -> None:
    reasons = vr.unavailable_isas()
    assert not set(reasons) & set(ISAS)
    assert set(reasons) | set(ISAS) <= set(NAMES)
    assert all(reasons.values())
    if platform.machine() == "x86_64":
        assert set(reasons) | set(ISAS) == set(NAMES) - {"neon"}
    for name, why in reasons.items():
        with pytest.raises(ValueError, match="isa: expected one of") as caught:
            vr.set_isa(name)
        assert str(caught.value).endswith(f"got '{name}', which cannot run here: {why}")
        message = error_at_first_use("vr.isa()", VECRECALL_ISA=name)
        assert message.startswith("VECRECALL_ISA: expected one of")
        assert message.endswith(f"got '{name}', which cannot run here: {why}")


# Not on a machine where something else is in the way.
needs_amx = pytest.mark.skipif("amx" not in ISAS, reason=f"no amx: {vr.unavailable_isas()}")

# A stack for signals that has no room for the registers of the matrix unit.
SMALL_STACK = """
import ctypes
class Stack(ctypes.Structure):
    _fields_ = [("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]
memory = ctypes.create_string_buffer(4096)
small = Stack(ctypes.addressof(memory), 0, 4096)
if ctypes.CDLL(None).sigaltstack(ctypes.byref(small), None) != 0:
    sys.exit("the kernel takes no stack of 4096 bytes")
"""


@needs_amx
def test_a_small_signal_stack_refuses_permission() -> None:
    code = f"{SMALL_STACK}{USE}\nprint(vr.isa(), vr.unavailable_isas()['amx'])"
    run = python(code)
    if "takes no stack" in run.stderr:
        pytest.skip(run.stderr.strip())
    assert run.stdout.strip().startswith("avx512vnni the kernel refused permission"), run.stderr


LARGE = "rng = np.random.default_rng(1)\nx = rng.standard_normal((9000, 96), np.float32)\n"
SAME = """
before = vr.isa()
found = vr.topk(x[:40], x, 9)
vr.set_isa("baseline")
expected = vr.topk(x[:40], x, 9)
assert np.array_equal(found.ids, expected.ids) and np.array_equal(found.scores, expected.scores)
print(before)
"""


@pytest.mark.parametrize(
    "order",
    [
        "faulthandler.enable()\n{first}{use}",
        "{first}faulthandler.enable()\n{use}",
        "{first}faulthandler.enable()\nfaulthandler.disable()\n{use}",
    ],
)
def test_faulthandler_before_and_after_the_first_look(order: str) -> None:
    """Its stack for signals may make the kernel refuse permission, and never more than that."""
    code = "import faulthandler\n" + LARGE + order.format(first="vr.isa()\n", use=SAME)
    assert printed(code) in ISAS


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.fork
def test_a_fork_goes_on_with_the_set() -> None:
    code = f"""{LARGE}vr.isa()
child = os.fork()
if child == 0:
{textwrap.indent(SAME, "    ")}
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(vr.isa())
"""
    assert printed(code).split()[-1] == ISAS[0]


def test_set_isa(isa: str) -> None:
    assert vr.isa() == isa


UNSUPPORTED = [name for name in NAMES if name not in ISAS]


@pytest.mark.parametrize("name", ["", "AVX2", "sse2", "avx2 ", "avx2\0", *UNSUPPORTED])
def test_unknown_or_unsupported_isa(name: str) -> None:
    before = vr.isa()
    with pytest.raises(ValueError, match="baseline") as caught:
        vr.set_isa(name)
    for valid in ISAS:
        assert valid in str(caught.value)
    assert vr.isa() == before


@pytest.mark.parametrize("name", [None, 1, b"avx2", ["baseline"]])
def test_isa_of_a_wrong_type(name: Any) -> None:
    before = vr.isa()
    with pytest.raises((TypeError, ValueError)):
        vr.set_isa(name)
    assert vr.isa() == before


@pytest.mark.parametrize("name", ISAS)
def test_isa_from_the_environment(name: str) -> None:
    assert printed(f"{USE}; print(vr.isa())", VECRECALL_ISA=name) == name


def test_set_isa_wins_over_the_environment() -> None:
    code = "vr.isa(); vr.set_isa('baseline'); print(vr.isa())"
    assert printed(code, VECRECALL_ISA=ISAS[-1]) == "baseline"


@pytest.mark.parametrize("name", ["sse2", "AVX2", *UNSUPPORTED])
@pytest.mark.parametrize("use", ["vr.isa()", USE])
def test_a_bad_isa_in_the_environment_is_an_error_at_first_use(name: str, use: str) -> None:
    message = error_at_first_use(use, VECRECALL_ISA=name)
    assert name in message
    for valid in ISAS:
        assert valid in message


def test_set_num_threads(default_threads: int, rng: np.random.Generator) -> None:
    queries, items = HARD["gaussian"](rng, 9, 9000, 8)
    expected = reference.search(queries, items, 12)
    counts: list[Any] = [1, 2, 7, np.int64(3)]
    for count in counts:
        vr.set_num_threads(count)
        assert vr.get_num_threads() == count
        assert_same_bits(vr.topk(queries, items, 12), *expected)


@pytest.mark.parametrize("count", [0, -1, 1.5, 2.0, "2", [2], np.nan])
def test_bad_number_of_threads(count: Any, default_threads: int) -> None:
    with pytest.raises((TypeError, ValueError)):
        vr.set_num_threads(count)
    assert vr.get_num_threads() == default_threads


def test_threads_of_a_call_are_not_kept(default_threads: int) -> None:
    vr.topk(np.ones((2, 3), np.float32), np.ones((9000, 3), np.float32), 2, threads=5)
    assert vr.get_num_threads() == default_threads


@pytest.mark.parametrize("count", ["1", "3", "16"])
def test_threads_from_the_environment(count: str) -> None:
    code = f"{USE}; print(vr.get_num_threads())"
    assert printed(code, VECRECALL_NUM_THREADS=count) == count


def test_set_num_threads_wins_over_the_environment() -> None:
    code = "vr.set_num_threads(2); print(vr.get_num_threads())"
    assert printed(code, VECRECALL_NUM_THREADS="3") == "2"


@pytest.mark.parametrize("count", ["0", "-1", "1.5", "many", "2x", "99999999999999999999"])
@pytest.mark.parametrize("use", ["vr.get_num_threads()", USE])
def test_bad_threads_in_the_environment_are_an_error_at_first_use(count: str, use: str) -> None:
    message = error_at_first_use(use, VECRECALL_NUM_THREADS=count)
    assert "VECRECALL_NUM_THREADS" in message
    assert count in message


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs sched_setaffinity")
def test_threads_follow_the_affinity() -> None:
    code = "print(vr.get_num_threads(), len(os.sched_getaffinity(0)))"
    threads, cpus = map(int, printed(code).split())
    assert 1 <= threads <= cpus  # fewer where a cgroup quota says so
    code = "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(vr.get_num_threads())"
    assert printed(code) == "1"
