"""Look at the compiled kernel files: what they export, and whether their hot loops spill.

A kernel file compiled for AVX-512 must not define a weak symbol (a template of the standard
library, say): the linker could keep that copy for the whole program. And a register block whose
accumulators live on the stack runs at a third of its speed.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path


def symbols(nm: str, file: str) -> list[tuple[str, str]]:
    out = subprocess.run([nm, "--defined-only", file], check=True, capture_output=True, text=True)
    lines = (line.split(maxsplit=2) for line in out.stdout.splitlines())
    return [(kind, name) for _, kind, name in lines]


def exports(nm: str, file: str) -> list[str]:
    """Everything that the linker can see: one table, nothing else."""
    visible = [(kind, name) for kind, name in symbols(nm, file) if kind.isupper() or kind in "wvu"]
    tables = [name for _, name in visible if re.fullmatch(r"_ZN9vecrecall7kernels\d+k\w+E", name)]
    if len(visible) != 1 or len(tables) != 1:
        return [f"{Path(file).name}: expected one exported table, got {visible}"]
    return []


def inner_loops(code: list[tuple[int, str]]) -> list[list[str]]:
    """Loops without a loop inside: from a backward jump's target to the jump."""
    at = {address: i for i, (address, _) in enumerate(code)}
    spans = []
    for i, (address, text) in enumerate(code):
        jump = re.match(r"j\w+\s+([0-9a-f]+)\b", text)
        if jump and (target := int(jump[1], 16)) <= address and target in at:
            spans.append((at[target], i))
    inner = [s for s in spans if not any(s != t and s[0] <= t[0] and t[1] <= s[1] for t in spans)]
    return [[text for _, text in code[a : b + 1]] for a, b in inner]


def spills(objdump: str, file: str, function: str, step: str, blocks: int) -> list[str]:
    """No loop of at least `blocks` multiply-adds may move a vector to or from the stack."""
    out = subprocess.run(
        [objdump, "-d", "--no-show-raw-insn", file], check=True, capture_output=True, text=True
    )
    code: list[tuple[int, str]] = []
    inside = False
    for line in out.stdout.splitlines():
        if line.endswith(">:"):
            inside = function in line
        elif inside and (parts := re.match(r"\s*([0-9a-f]+):\s+(.*)", line)):
            code.append((int(parts[1], 16), parts[2]))
    hot = [loop for loop in inner_loops(code) if sum(step in text for text in loop) >= blocks]
    if not hot:
        return [f"{Path(file).name}: found no loop of {blocks} {step} in {function}"]
    bad = [text for loop in hot for text in loop if "(%rsp" in text or "(%rbp" in text]
    return [f"{Path(file).name}: {function} uses the stack in its hot loop: {b}" for b in bad]


def tile_code(objdump: str, file: str, expected: bool) -> list[str]:
    """Tiles are configured and released in every function that uses them, and nowhere else.

    Their accumulators are registers that nothing spills: the loop over dimensions stores none.
    """
    out = subprocess.run(
        [objdump, "-d", "--no-show-raw-insn", file], check=True, capture_output=True, text=True
    )
    name = Path(file).name
    problems = []
    n_hot = 0
    for function in out.stdout.split("\n\n"):
        code = re.findall(r"^\s*([0-9a-f]+):\s+(.*)", function, re.M)
        counts = {
            step: sum(text.startswith(step) for _, text in code)
            for step in ("tdpb", "tile", "ldtilecfg", "tilerelease")
        }
        if not any(counts.values()):
            continue
        if not expected:
            problems.append(f"{name}: has instructions of the matrix unit")
            break
        title = function.split(">:")[0].split("<")[-1]
        if counts["ldtilecfg"] != 1 or counts["tilerelease"] < 1:
            problems.append(f"{name}: {title} does not shape its tiles once and release them")
        for loop in inner_loops([(int(address, 16), text) for address, text in code]):
            products = sum("tdpb" in text for text in loop)
            # With one step of dimensions the innermost loop is over queries, and stores.
            if products and any("tileloadd" in text and "tmm6" in text for text in loop):
                n_hot += 1
                problems += [
                    f"{name}: {title} stores tiles in its hot loop: {text}"
                    for text in loop
                    if "tilestored" in text
                ]
    if expected and n_hot == 0:
        problems.append(f"{name}: found no loop that multiplies tiles")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nm", required=True)
    parser.add_argument("--objdump", required=True)
    parser.add_argument("objects", nargs="+")
    args = parser.parse_args()
    problems = []
    for file in args.objects:
        problems += exports(args.nm, file)
        isa = Path(file).name.split(".")[0]
        problems += tile_code(args.objdump, file, expected=isa == "amx")
        blocks = {"avx2": 12, "avx512": 24, "avx512vnni": 24, "amx": 24}.get(isa)
        if blocks:
            for function in ("scan_panels_f32", "nearest_f32"):
                problems += spills(args.objdump, file, function, "vfmadd", blocks)
        if isa == "avx512vnni":
            for function in ("scan_all_i8", "nearest_i8"):
                problems += spills(args.objdump, file, function, "vpdpbusd", blocks)
    print("\n".join(problems) or f"{len(args.objects)} kernel files: one table each, no spills")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
