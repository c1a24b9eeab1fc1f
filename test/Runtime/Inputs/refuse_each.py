"""Runs the model argv[1] on each file; prints the error, which must be one line with exit code 1."""

import subprocess
import sys

for name in sys.argv[2:]:
    command = ["pquant-run", sys.argv[1], "--inputs", name + ".npz"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1 and not run.stdout, run
    print(run.stderr, end="")
