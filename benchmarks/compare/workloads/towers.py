"""Vectors of users from a tower: by ONNX as it is served, and by torch as it was trained."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from functools import partial
from typing import Literal

import numpy as np

from benchmarks.compare.alternating import time_alternately
from benchmarks.compare.workload import Measurement, is_missing, raise_if_wrong
from vecrecall.cli._tables import format_number, markdown_table
from vecrecall.cli.bench.machine import Machine
from vecrecall.cli.bench.peers import OURS

Encoder = Literal["mean", "lstm"]
ENCODERS: tuple[Encoder, ...] = ("mean", "lstm")
ITEMS, USERS, CLICKS, DIM = 2000, 512, 20, 64
SECONDS, QUICK_SECONDS = 4.0, 0.2  # of timing per row
TOLERANCE = 1e-5  # what `OnnxTower` promises
TORCH = "torch"


def run(args: argparse.Namespace, machine: Machine) -> Iterator[Measurement]:
    """Print a table, with a row for each encoder and batch; both use one thread."""
    if is_missing("towers", ["torch", "onnx", "onnxscript", "onnxruntime"]):
        return
    import torch

    torch.set_num_threads(1)
    rows = []
    for encoder in ENCODERS[:1] if args.quick else ENCODERS:
        for measurement in of_encoder(encoder, args):
            own, other = (
                float(np.median(measurement["peers"][name]["seconds"])) / measurement["batch"]
                for name in (OURS, TORCH)
            )
            ratio = format_number(other / own)
            micros = map(format_number, (own * 1e6, other * 1e6))
            rows.append([encoder, str(measurement["batch"]), *micros, ratio])
            yield measurement
    head = ["encoder", "batch", "OnnxTower, us per user", f"{TORCH}, us", "times ours"]
    size = f"vectors of {DIM} numbers, of {CLICKS} clicks"
    print(f"\n{size}\n\n{markdown_table(head, rows)}", flush=True)


def of_encoder(encoder: Encoder, args: argparse.Namespace) -> Iterator[Measurement]:
    """Train a tower for one round, export it, and time both."""
    from vecrecall.train import OnnxTower, TwoTower

    rng = np.random.default_rng(args.seed)
    clicks = rng.integers(0, ITEMS, (USERS, CLICKS))
    users = np.repeat(np.arange(USERS), CLICKS)
    trained = TwoTower(dim=DIM, encoder=encoder, epochs=1, seed=args.seed)
    trained.fit(users, clicks.ravel())
    with tempfile.TemporaryDirectory(prefix="vecrecall-bench-") as folder:
        trained.export_onnx(folder, item_tower=False)
        served = OnnxTower.load(folder)
    histories = clicks.tolist()
    error = float(np.abs(served.encode_users(histories) - trained.encode_users(histories)).max())
    if error > TOLERANCE:
        raise_if_wrong([f"OnnxTower: expected the vectors of torch to {TOLERANCE}, got {error}"])

    def encode(tower: TwoTower | OnnxTower, batch: int, i: int) -> object:
        first = i * batch % (USERS - batch + 1)
        return tower.encode_users(histories[first : first + batch])

    for batch in args.batch:
        calls = {name: partial(encode, tower, batch)
                 for name, tower in ((OURS, served), (TORCH, trained))}  # fmt: skip
        times = time_alternately(calls, QUICK_SECONDS if args.quick else SECONDS)
        peers = {name: {"seconds": taken.tolist()} for name, taken in times.items()}
        about = {"encoder": encoder, "dim": DIM, "batch": batch}
        yield {"workload": "towers", **about, "absent": {}, "peers": peers}
