"""The floating-point control register of this thread, through a helper compiled on the spot."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOURCE = r"""
#if defined(__x86_64__)
#include <xmmintrin.h>
unsigned long get_control(void) { return _mm_getcsr() & 0xFFC0; }
void set_control(unsigned long bits) { _mm_setcsr((unsigned)bits); }
#elif defined(__aarch64__)
unsigned long get_control(void) {
  unsigned long bits;
  __asm__ volatile("mrs %0, fpcr" : "=r"(bits));
  return bits;
}
void set_control(unsigned long bits) { __asm__ volatile("msr fpcr, %0" : : "r"(bits)); }
#endif
"""

X86 = {"flush": 0x8040, "down": 0x2000, "up": 0x4000, "zero": 0x6000}
ARM = {"flush": 1 << 24, "up": 1 << 22, "down": 2 << 22, "zero": 3 << 22}
MODES = {"x86_64": X86, "aarch64": ARM}.get(platform.machine(), {})
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


class Control:
    """Reads and writes the register: FTZ and DAZ (`flush`), or another rounding direction."""

    def __init__(self, library: Path) -> None:
        self.library = library
        functions = ctypes.CDLL(str(library))
        self.get = functions.get_control
        self.get.restype = ctypes.c_ulong
        self._set = functions.set_control
        self._set.argtypes = [ctypes.c_ulong]
        self._set.restype = None

    @contextmanager
    def changed(self, mode: str) -> Iterator[None]:
        """As another library would leave it; fails if it is not left so."""
        before = self.get()
        self._set(before | MODES[mode])
        try:
            yield
            after = self.get()
        finally:
            self._set(before)
        assert after == before | MODES[mode]


def compiled(folder: Path) -> Control:
    """Compile the helper; needs `COMPILER` and `MODES`."""
    source, library = folder / "control.c", folder / "control.so"
    source.write_text(SOURCE)
    command = [str(COMPILER), "-O1", "-shared", "-fPIC", "-o", str(library), str(source)]
    subprocess.run(command, check=True, timeout=600)
    return Control(library)
