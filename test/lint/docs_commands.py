# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Checks what the documents show: commands run, output is real, quoted code is the tree's.

    docs_commands.py ROOT DOCUMENT...

A comment on the line before a code block says what holds for it:

- `<!-- test -->`, sh: the block runs without error. The blocks of a document run one after another in one temporary
  folder, each by `bash -euo pipefail`, with the tools on PATH, ROOT/python in PYTHONPATH and ROOT in PQUANT_ROOT.
- `<!-- test -->`, mlir: `pquant-opt` accepts the block.
- `<!-- output -->`: the lines occur in this order in what the tested block before printed; `...` stands for any text.
- `<!-- file: PATH -->`: the block is a verbatim part of ROOT/PATH.
"""

import os
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"<!-- (?P<mark>test|output|file: (?P<path>\S+)) -->\n```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
MARK = re.compile(r"^<!-- (?:test|output|file: \S+) -->$", re.M)


def missing_line(expected: str, printed: str) -> str:
    """The first line of `expected` that does not follow in `printed`, or an empty string."""
    lines = iter(line.rstrip() for line in printed.splitlines())
    for line in expected.splitlines():
        pattern = re.compile(".*".join(map(re.escape, line.rstrip().split("..."))))
        if not any(pattern.fullmatch(candidate) for candidate in lines):
            return line
    return ""


class Document:
    """One document under test; messages go to `errors`."""

    def __init__(self, root: str, path: str):
        self.root, self.path, self.errors, self.printed = root, path, [], ""
        with open(os.path.join(root, path), encoding="utf-8") as file:
            self.text = file.read()
        self.environment = dict(os.environ, PQUANT_ROOT=root, PYTHONPATH=os.path.join(root, "python"))

    def execute(self, command: list, text: str, folder: str) -> None:
        done = subprocess.run(
            command, input=text, cwd=folder, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )
        self.printed = done.stdout
        if done.returncode:
            self.errors.append(f"exit code {done.returncode} of\n{text}{done.stdout}")

    def check_block(self, block: re.Match, folder: str) -> None:
        text = block["text"]
        if block["path"]:
            with open(os.path.join(self.root, block["path"]), encoding="utf-8") as file:
                if text not in file.read():
                    self.errors.append(f"not a part of {block['path']}:\n{text}")
        elif block["mark"] == "output":
            line = missing_line(text, self.printed)
            if line:
                self.errors.append(f"expected the output line\n{line}\nbut got\n{self.printed}")
        elif block["language"] == "sh":
            self.execute(["bash", "-euo", "pipefail", "-s"], text, folder)
        elif block["language"] == "mlir":
            self.execute(["pquant-opt", "-split-input-file", "-o", os.devnull], text, folder)
        else:
            self.errors.append(f"expected sh or mlir in a tested block, but got '{block['language']}'")

    def check(self) -> list:
        blocks = list(BLOCK.finditer(self.text))
        if len(blocks) != len(MARK.findall(self.text)):
            self.errors.append("a test, output or file comment is not followed by a code block")
        with tempfile.TemporaryDirectory() as folder:
            for block in blocks:
                line = self.text.count("\n", 0, block.start()) + 1
                before = len(self.errors)
                self.check_block(block, folder)
                self.errors[before:] = [f"{self.path}:{line}: {error}" for error in self.errors[before:]]
        return self.errors


def main(root: str, *paths: str) -> int:
    errors = [error for path in paths for error in Document(root, path).check()]
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
