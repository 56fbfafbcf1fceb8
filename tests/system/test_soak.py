"""Minutes of random operations, in an interpreter of its own: soak.py.

`VECRECALL_SOAK_SECONDS` and `VECRECALL_SOAK_SEED` make it longer or different.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.fork]

SECONDS = os.environ.get("VECRECALL_SOAK_SECONDS", "4")
SEED = os.environ.get("VECRECALL_SOAK_SEED", "1")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, which this system has not")
def test_random_operations() -> None:
    soak = Path(__file__).parents[1] / "support" / "soak.py"
    # Python warns of a fork with threads: that it works is what is tested.
    quiet = ("-W", "ignore:This process:DeprecationWarning")
    done = subprocess.run(
        [sys.executable, *quiet, str(soak), SECONDS, SEED], capture_output=True, text=True
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
