"""Messages between the writer and the workers, over a socket of the machine."""

from __future__ import annotations

import asyncio
import socket
import struct

import msgspec
from msgspec import Struct

_LENGTH = struct.Struct("<I")
LARGEST = 1 << 30


class Submit(Struct, frozen=True, tag="submit"):
    """From a worker: make a change."""

    number: int
    change: bytes


class Administer(Struct, frozen=True, tag="administer"):
    """From a worker: publish, roll back or fold; the body of the request."""

    number: int
    body: bytes


class Applied(Struct, frozen=True, tag="applied"):
    """From a worker: it serves all changes up to this one."""

    position: int


class Prepared(Struct, frozen=True, tag="prepared"):
    """From a worker: it has loaded a version."""

    version: int


class Reply(Struct, frozen=True, tag="reply"):
    """From the writer: what came of a submission; `error` is the body of one."""

    number: int
    result: dict[str, int]
    status: int = 200
    error: bytes = b""


class Position(Struct, frozen=True, tag="position"):
    """From the writer: changes up to this one are durable."""

    position: int


class Prepare(Struct, frozen=True, tag="prepare"):
    """From the writer: a version is going to be served."""

    version: int


Message = Submit | Administer | Applied | Prepared | Reply | Position | Prepare

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Message)


def framed(message: Message) -> bytes:
    """Return a message with its length before it."""
    content = _ENCODER.encode(message)
    return _LENGTH.pack(len(content)) + content


async def receive(reader: asyncio.StreamReader) -> Message:
    """Wait for a message; raises `asyncio.IncompleteReadError` at the end."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return _DECODER.decode(await reader.readexactly(length))


def receive_blocking(sock: socket.socket) -> Message | None:
    """Wait for a message, None at the end."""
    head = _exactly(sock, _LENGTH.size)
    if head is None:
        return None
    content = _exactly(sock, *_LENGTH.unpack(head))
    return None if content is None else _DECODER.decode(content)


def _exactly(sock: socket.socket, n: int) -> bytes | None:
    data = bytearray()
    while len(data) < n:
        some = sock.recv(min(n - len(data), 1 << 20))
        if not some:
            return None
        data += some
    return bytes(data)
