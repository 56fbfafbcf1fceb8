"""Rights of a thread of root on Linux, which it can give up and take again."""

from __future__ import annotations

import ctypes

OF_ACCESS = 1 << 1 | 1 << 2  # to pass over permissions: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
VERSION = 0x20080522

Header = ctypes.c_uint32 * 2
# Effective, permitted and inheritable rights, of the first 32 and of the next.
Sets = ctypes.c_uint32 * 6


def _call(name: str, sets: ctypes.Array[ctypes.c_uint32]) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(Header(VERSION, 0), sets) != 0:
        raise OSError(ctypes.get_errno(), name)


def effective() -> int:
    """Return the rights of this thread, the first 32 of them."""
    sets = Sets()
    _call("capget", sets)
    return int(sets[0])


def use(rights: int) -> None:
    """Use these of the first 32 rights, of those that are permitted."""
    sets = Sets()
    _call("capget", sets)
    sets[0] = rights
    _call("capset", sets)
