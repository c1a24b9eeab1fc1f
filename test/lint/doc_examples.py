#!/usr/bin/env python3
"""Runs every ```mlir block of the given Markdown files through pquant-opt.

A block may be a fragment: it is then wrapped in a function whose arguments are
the values that the fragment uses but does not define. Their types are what the
parser says it expected. A line "// becomes ..." separates two fragments.
"""

import argparse
import pathlib
import re
import subprocess
import sys

BLOCK = re.compile(r"^( *)```mlir\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
VALUE = re.compile(r"%[A-Za-z0-9_$.-]+")
# Lines that define values: results, loop variables, region arguments.
DEFINITIONS = (
    re.compile(r"^\s*((?:%[\w$.-]+(?::\d+)?\s*,?\s*)+)=", re.MULTILINE),
    re.compile(r"\b(?:scf|affine)\.for\s+(%[\w$.-]+)"),
    re.compile(r"\bpqk\.parallel\s*\(([^)]*)\)"),
    re.compile(r"^\s*\^\w+\(([^)]*)\)", re.MULTILINE),
    re.compile(r"\biter_args\(([^)]*?)="),
    re.compile(r"\bscf\.(?:forall|parallel)\s*\(([^)]*)\)"),
)
EXPECTED = re.compile(r"use of value '(%[^']+)' expects different type than prior uses: '(.*)' vs '")
TOP_LEVEL = re.compile(r"^\s*(module|func\.func|memref\.global|gpu\.module|llvm\.func)\b", re.MULTILINE)


def fragments(text):
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        for part in re.split(r"^\s*// becomes.*\n", match.group(2), flags=re.MULTILINE):
            yield line, part
            line += part.count("\n") + 1


def free_values(fragment):
    code = re.sub(r"//.*", "", fragment)
    defined = set()
    for pattern in DEFINITIONS:
        for match in pattern.finditer(code):
            defined.update(VALUE.findall(match.group(1)))
    return sorted({v for v in VALUE.findall(code)} - defined)


def parse(tool, source):
    result = subprocess.run([tool, "-"], input=source, capture_output=True, text=True)
    return None if result.returncode == 0 else result.stderr


def check(tool, fragment):
    """Returns the parser's message, or None when the fragment parses."""
    if TOP_LEVEL.search(fragment):
        return parse(tool, fragment)
    types = {value: "none" for value in free_values(fragment)}
    while True:
        arguments = ", ".join(f"{value}: {type}" for value, type in types.items())
        error = parse(tool, f"func.func @example({arguments}) {{\n{fragment}\nreturn\n}}\n")
        wanted = error and EXPECTED.search(error)
        if not wanted or types.get(wanted.group(1)) != "none":
            return error
        types[wanted.group(1)] = wanted.group(2)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tool", help="pquant-opt")
    parser.add_argument("pages", nargs="+", type=pathlib.Path, help="Markdown files or folders")
    args = parser.parse_args()
    pages = [p for page in args.pages for p in (sorted(page.rglob("*.md")) if page.is_dir() else [page])]
    count, failures = 0, 0
    for page in pages:
        for line, fragment in fragments(page.read_text()):
            count += 1
            error = check(args.tool, fragment)
            if error:
                failures += 1
                print(f"{page}:{line}: example does not parse\n{error}")
    print(f"{count} examples, {failures} failures")
    return 1 if failures or not count else 0


if __name__ == "__main__":
    sys.exit(main())
