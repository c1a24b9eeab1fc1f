"""Prints the innermost loops of an assembly listing, one line each.

Usage: inner_loops.py MNEMONIC... < LISTING

    FUNCTION: MNEMONIC=COUNT ... stack=COUNT

A loop is a run of instructions between a label and a jump back to it, without another label or call. `stack` counts its
memory operands on the stack frame: spills. Loops without any of the mnemonics are left out.
"""

import re
import sys

LABEL = re.compile(r"^([.\w]+):")
JUMP = re.compile(r"^\s+(?:j\w+|b\.\w+|cbn?z\s+\w+,)\s+([.\w]+)")


def main():
    wanted = sys.argv[1:]
    function, label, body = "", "", []
    for line in sys.stdin:
        line = re.split(r"#(?!-?\d)|//", line)[0].rstrip()
        match = LABEL.match(line)
        if match:
            label, body = match.group(1), []
            if not label.startswith(".L"):
                function = label
            continue
        if not line.strip() or line.strip().startswith("."):
            continue
        body.append(line)
        jump = JUMP.match(line)
        if not jump or jump.group(1) != label:
            continue
        counts = [sum(text.split()[0] == name for text in body) for name in wanted]
        if any(counts):
            stack = sum("(%rsp" in text or "[sp" in text for text in body)
            print(f"{function}:", *(f"{n}={c}" for n, c in zip(wanted, counts)), f"stack={stack}")


if __name__ == "__main__":
    main()
