"""Runs entry `threads` of the model argv[1] on argv[3:] threads and prints what it counted."""

import subprocess
import sys

import numpy as np

model, output = sys.argv[1:3]
for threads in sys.argv[3:]:
    flags = ["--entry", "threads", "--threads", threads, "--outputs", output]
    subprocess.run(["pquant-run", model] + flags, check=True, stdout=subprocess.DEVNULL)
    print(np.load(output)["seen"].tolist())
