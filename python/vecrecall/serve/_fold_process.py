"""The process of a fold: ``python -m vecrecall.serve._fold_process JSON``.

It reads a version and the log, as a start does, and writes them as the next version. In the process
that answers, the same work would compete for the interpreter and be taken off the processor while
it holds that.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from vecrecall.serve._lifeline import end_with
from vecrecall.serve._store import Kept, Snapshot, Store, catch_up


def main(argument: str) -> None:
    """Write the version, and print its number."""
    own = json.loads(argument)
    end_with(own["alive"])
    store = Store(Path(own["state"]))
    before = msgspec.convert(own["before"], Kept)
    system = store.load(before)
    catch_up(store, system, own["position"])
    print(store.fold(Snapshot(system), before).version)


if __name__ == "__main__":
    main(sys.argv[1])
