# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs the runtime's kernel that reads memory by ptx.py: check_meter.py DEVICEMETER.CPP. It must read each word."""

import re
import sys

import numpy as np
import ptx

text = re.search(r'R"\((.*?)\)";', open(sys.argv[1]).read(), re.DOTALL)[1]
looked_for = int(re.search(r"setp.eq.u32 %p1, %r1, (\d+);", text)[1])
program = ptx.Program(text, "pquant_read")
for word in range(32):
    memory = np.zeros((3, 8, 256, 4), np.uint32)  # room before two blocks; each thread's words lie in eight parts
    memory[1:, word // 4, :, word % 4] = looked_for
    ptx.launch(program, (2, 1), 256, [memory[0].nbytes], memory.reshape(-1).view(np.uint8), word)
    assert (memory[1:, 0, :, 0] == looked_for).all(), f"word {word} of a thread is not read"
    assert not memory[0].any(), "written before the memory"
print("read: ok")
