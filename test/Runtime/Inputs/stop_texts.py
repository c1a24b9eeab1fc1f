# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Cuts one text at stop texts taken from it: `stop_texts.py COMMAND...` continues a prompt with these flags."""

import json
import subprocess
import sys

PROMPT, FLAGS = "The model", ["-n", "60", "--temperature", "2", "--seed", "3"]


def write(*more):
    command = [*sys.argv[1:], PROMPT, *FLAGS, *more]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True).stdout.decode()


whole = json.loads(write("--json"))
text = whole["text"]
assert whole["stop"] == "length" and len(text) > 60, whole
for begin in range(5, 50, 7):
    for length in (1, 2, 5, 11):
        stop = text[begin : begin + length]
        cut = json.loads(write("--json", "--stop", "no such text", "--stop", stop))
        assert cut["stop"] == "stop", cut
        assert cut["text"] == text[: text.index(stop)], (cut, stop)
        assert cut["tokens"] == whole["tokens"][: len(cut["tokens"])], cut
first, second = text[20:26], text[10:14]
assert json.loads(write("--json", "--stop", first, "--stop", second))["text"] == text[: text.index(second)]

# As plain text, and not at all: what was held back at the end is there.
plain = write()
assert write("--stop", first) == plain[: plain.index(first)] + "\n"
assert write("--stop", text[-3:] + "never") == plain
