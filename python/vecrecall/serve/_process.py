"""A process that the supervisor starts: ``python -m vecrecall.serve._process JSON``."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import warnings
from pathlib import Path

import msgspec

from vecrecall.channels._recaller import ChannelWarning
from vecrecall.serve import _logs
from vecrecall.serve._command import serve, token_of
from vecrecall.serve._config import Config, exit_code
from vecrecall.serve._follower import FollowerState
from vecrecall.serve._lifeline import end_with
from vecrecall.serve._runtime import Runtime
from vecrecall.serve._store import Store
from vecrecall.serve._supervisor import CONFIG, READY, SOCKET
from vecrecall.serve._writer_process import WriterProcess


def main(argument: str) -> int:
    """Run as a worker or as the writer."""
    own = json.loads(argument)
    folder = Path(own["folder"])
    _logs.start(own["log_level"])
    warnings.simplefilter("ignore", ChannelWarning)
    end_with(own["alive"])
    config = msgspec.json.decode((folder / CONFIG).read_bytes(), type=Config)
    store = Store(Path(config.state.path or ""))
    if own["role"] == "writer":
        (folder / SOCKET).unlink(missing_ok=True)
        try:
            asyncio.run(WriterProcess(config, store, folder / SOCKET).run())
        except (OSError, ValueError) as error:
            print(f"vecrecall serve: error: {error}", file=sys.stderr)
            return exit_code(error)
        return 0
    sock = socket.socket(fileno=own["socket"])
    runtime = Runtime(lambda: FollowerState(store, folder / SOCKET))
    runtime.loaded.add_done_callback(
        lambda done: None if done.exception() else (folder / READY).touch()
    )
    return serve(runtime, config, token_of(config.server), sock, eager=own["eager"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
