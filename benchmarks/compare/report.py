"""What is printed: the machine, a table a case."""

import platform
from pathlib import Path
from typing import Any

import numpy as np

import vecrecall as vr
from benchmarks.compare.peers import PEERS
from vecrecall import _core


def machine_limits(threads: int) -> dict[str, float]:
    """Register-only loops and a plain read, on all threads: billions a second."""
    rounds = [_core.machine_limits(threads) for _ in range(5)]
    return {key: max(r[i] for r in rounds) for i, key in enumerate(("float32", "int8", "read"))}


def describe_machine(limits: dict[str, float], threads: int) -> str:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [x for x in cpuinfo.read_text().splitlines() if x.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    return (
        f"{model}, {vr.isa()}, {threads} threads. Limits, measured now: "
        f"{limits['float32']:.0f} float32 and {limits['int8']:.0f} int8 billion multiply-adds "
        f"a second, {limits['read']:.0f} GB/s read."
    )


def row(name: str, case: dict[str, Any], limits: dict[str, float]) -> str:
    times = case["ms"][name]
    middle = float(np.median(times))
    ours = float(np.median(case["ms"]["vecrecall"]))
    products = case["data"]["items"] * case["data"]["dim"] / middle / 1e6
    # At one query every byte is read once: the codes of one byte, or the floats.
    size = 1 if name.startswith("vecrecall") else 4
    read = products * size / case["batch"] / limits["read"]
    recall = case["recall"].get(name)
    return (
        f"| {name} | {PEERS[name].version()} | {middle:.3f} | {min(times):.3f} to {max(times):.3f} "
        f"| {middle / ours:.2f} | {products:.0f} | {products / limits['float32']:.2f} "
        f"| {products / limits['int8']:.2f} | {read:.2f} "
        f"| {'' if recall is None else f'{recall:.4f}'} |"
    )


def table(case: dict[str, Any], limits: dict[str, float]) -> str:
    about = case["data"]
    head = (
        f"\ntop-{case['k']} of {about['items']:,} x {about['dim']} ({about['name']}), "
        f"batch {case['batch']}\n\n"
        "| peer | version | ms a query | spread | times ours | G products/s | of float32 limit "
        "| of int8 limit | of read rate | recall |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    lines = [row(name, case, limits) for name in case["ms"] if case["ms"][name]]
    lines += [f"| {name} | | {reason} | | | | | | | |" for name, reason in case["absent"].items()]
    return "\n".join([head, *lines])


def builds(built: dict[str, float]) -> str:
    return "\nbuild, seconds: " + ", ".join(f"{n} {s:.2f}" for n, s in built.items())
