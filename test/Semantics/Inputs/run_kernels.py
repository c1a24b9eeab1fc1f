"""Runs @main of a semantics test through packing and the generic kernels, by mlir-runner.

Usage: run_kernels.py TEST.mlir SHARED_LIBRARIES. Takes the place of the definitions: the same file must print the
same numbers.
"""

import re
import subprocess
import sys

LEVEL = '#pquant.level<"generic", cpu = "x86-64", features = "", requires = "", vector_bits = 128>'

# The runtime's parallel loop, on one thread.
RUNTIME = """
llvm.func @pquant_rt_parallel_for(%body: !llvm.ptr, %args: !llvm.ptr, %count: i64, %grain: i64) {
  %zero = llvm.mlir.constant(0 : i64) : i64
  llvm.call %body(%args, %zero, %count) : !llvm.ptr, (!llvm.ptr, i64, i64) -> ()
  llvm.return
}
"""

PACKING = [
    "--pquant-dispatch-experts",
    "--pquant-fuse-branches",
    "--pquant-raise-float-linears=min-elements=1",
    "--pquant-pack-bits=layout=d16",
    "--pquant-to-pqk",
    "--convert-elementwise-to-linalg",
    "--canonicalize",
    "--cse",
]

LOWERING = [
    "--one-shot-bufferize=bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map",
    "--convert-linalg-to-loops",
    "--pquant-convert-pqkernel-to-vector",
    "--pquant-convert-pqkernel-to-llvm",
    "--convert-vector-to-scf",
    "--expand-strided-metadata",
    "--lower-affine",
    "--convert-scf-to-cf",
    "--convert-vector-to-llvm",
    "--convert-math-to-llvm",
    "--convert-math-to-libm",
    "--finalize-memref-to-llvm",
    "--convert-func-to-llvm",
    "--convert-arith-to-llvm",
    "--convert-index-to-llvm",
    "--convert-cf-to-llvm",
    "--reconcile-unrealized-casts",
]


def main():
    path, libraries = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"^(func\.func @\w+\(\)) \{", rf"\1 attributes {{pquant.level = {LEVEL}}} {{", text, flags=re.M)
    lowered = subprocess.run(["pquant-opt", "-", *PACKING, *LOWERING], input=text + RUNTIME, text=True,
                             stdout=subprocess.PIPE)
    if lowered.returncode:
        return lowered.returncode
    # mlir-runner knows upstream dialects only.
    module = re.sub(r"pquant\.level = #pquant\.level<[^>]*>", "dso_local", lowered.stdout)
    runner = ["mlir-runner", "-e", "main", "--entry-point-result=void", "--shared-libs=" + libraries]
    return subprocess.run(runner, input=module, text=True).returncode


if __name__ == "__main__":
    sys.exit(main())
