#!/usr/bin/env python3
"""Checks who includes whom, and how long files and functions are.

The table below is the project's layering: a room may include headers of the
rooms listed for it, of itself, and of the upstream projects listed for it.
"""

import argparse
import pathlib
import re
import sys

DIALECTS = ("dialects/PQuant", "dialects/PQKernel")
ALL_MLIR = ("llvm", "mlir")
# Upstream headers that say what IR is, without acting on it.
MLIR_IR = (
    "llvm",
    "mlir/Bytecode",
    "mlir/Dialect/*/IR",
    "mlir/Dialect/Utils",
    "mlir/IR",
    "mlir/Interfaces",
    "mlir/Support",
)

# room: (rooms of ours, upstream projects)
ROOMS = {
    "Layout": ((), ()),
    "Text": ((), ()),
    "Support": (("Layout",), ALL_MLIR),
    "dialects/PQuant": (("Layout", "Support"), MLIR_IR),
    "dialects/PQKernel": (("Layout", "Support", "dialects/PQuant"), MLIR_IR),
    "Frontend": (DIALECTS + ("Support", "Layout"), ALL_MLIR),
    "Transforms": (DIALECTS + ("Support", "Layout"), ALL_MLIR),
    "Conversion": (DIALECTS + ("Support", "Layout"), ALL_MLIR),
    "Target": (DIALECTS + ("Support", "Layout", "Conversion"), ALL_MLIR),
    "Pipelines": (DIALECTS + ("Transforms", "Conversion", "Target", "Support", "Layout"), ALL_MLIR),
    "Driver": (
        DIALECTS
        + ("Frontend", "Transforms", "Conversion", "Target", "Pipelines", "Support", "Layout", "Text", "InitAll"),
        ALL_MLIR,
    ),
    "Runtime": (("Layout", "Text"), ()),
    "InitAll": (
        DIALECTS + ("Frontend", "Transforms", "Conversion", "Target", "Pipelines", "Support"),
        ALL_MLIR,
    ),
    "tools": (("InitAll", "Driver", "Frontend", "Support"), ALL_MLIR),
    "tools/pquant-bench": (("Runtime", "Layout"), ()),
    "tools/pquant-run": (("Runtime", "Layout"), ()),
}
# The one header that both sides of the ABI share: the C descriptor of a model.
SHARED_HEADERS = ("pquant/Runtime/ModelDescriptor.h",)

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
SOURCE = (".h", ".cpp", ".c", ".td", ".inc")
# Hard stops in lines; a longer file says why in a line that starts "// Long:".
FILE_STOP = {".cpp": 800, ".h": 800, ".c": 800, ".td": 400, ".mlir": 300, ".test": 300}
FUNCTION_STOP = 100
WHY_LONG = re.compile(r"^\s*(//|#)\s*Long:", re.MULTILINE)


def room_of(path):
    """The room that a source file or an include path belongs to."""
    parts = pathlib.PurePosixPath(path).parts
    if parts[0] in ("lib", "include") and len(parts) > 1:
        parts = parts[1:] if parts[0] == "lib" else parts[2:]
        return "InitAll" if parts[0].startswith("InitAll") else parts[0]
    if parts[0] == "pquant":
        return "InitAll" if parts[1].startswith("InitAll") else parts[1]
    if parts[0] in ("dialects", "tools") and len(parts) > 1:
        room = "/".join(parts[:2])
        return room if parts[0] == "dialects" or room in ROOMS else "tools"
    return None


def target_of(path):
    """The machine of a file under Target, or None."""
    match = re.search(r"(?:^|/)Target/([^/.]+)/", path)
    return match and match.group(1)


def upstream_allows(allowed, header):
    for prefix in allowed:
        pattern = re.escape(prefix).replace(r"\*", "[^/]+")
        if re.match(pattern + "/", header):
            return True
    # Bufferization has its interface among its IR headers; the rest acts.
    return False


def check_includes(path, text):
    room = room_of(path)
    if room not in ROOMS:
        yield f"{path}: no room of this name in the include table"
        return
    ours, upstream = ROOMS[room]
    for match in INCLUDE.finditer(text):
        header = match.group(2)
        line = text.count("\n", 0, match.start()) + 1
        if header.startswith(("llvm/", "llvm-c/", "mlir/", "mlir-c/")):
            if not upstream_allows(upstream, header):
                yield f"{path}:{line}: room {room} must not include {header}"
            continue
        if not header.startswith(("pquant/", "dialects/")) or header in SHARED_HEADERS:
            continue
        other = room_of(header)
        if other != room and other not in ours:
            yield f"{path}:{line}: room {room} must not include {header} of room {other}"
        if room == "Target" and other == "Target":
            mine, theirs = target_of(path), target_of(header)
            if mine and theirs and mine != theirs:
                yield f"{path}:{line}: target {mine} must not include {header} of target {theirs}"


def functions(text):
    """Yields (first line, length) of the function bodies at top level."""
    start = None
    for number, line in enumerate(text.split("\n"), 1):
        if start is None and line and not line[0].isspace() and line.rstrip().endswith("{"):
            named = not re.match(r"(namespace|extern|class|struct|enum|union)\b", line)
            start = number if named and "=" not in line else None
        elif start is not None and line.startswith("}"):
            yield start, number - start + 1
            start = None


def check_sizes(path, text):
    if WHY_LONG.search(text):
        return
    suffix = pathlib.PurePosixPath(path).suffix
    lines = text.count("\n")
    if lines > FILE_STOP.get(suffix, lines):
        yield f"{path}: {lines} lines, more than the {FILE_STOP[suffix]} allowed"
    if suffix in (".cpp", ".h", ".c"):
        for start, length in functions(text):
            if length > FUNCTION_STOP:
                yield f"{path}:{start}: function of {length} lines, more than the {FUNCTION_STOP} allowed"


def files(root, folders, suffixes):
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path.suffix in suffixes:
                yield path


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=pathlib.Path, help="source tree")
    root = parser.parse_args().root
    errors = []
    for path in files(root, ("dialects", "include", "lib", "tools"), SOURCE):
        name = path.relative_to(root).as_posix()
        text = path.read_text()
        errors += check_includes(name, text) if path.suffix != ".td" else []
        errors += check_sizes(name, text)
    for path in files(root, ("test",), (".mlir", ".test")):
        errors += check_sizes(path.relative_to(root).as_posix(), path.read_text())
    print("\n".join(errors) if errors else "no layering or size errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
