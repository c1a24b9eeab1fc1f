"""lit configuration of pquant: which files are tests, and what they may run."""

import os
import platform

import lit.formats
import lit.util
from lit.llvm import llvm_config

config.name = "PQUANT"
config.test_format = lit.formats.ShTest(not llvm_config.use_lit_shell)
config.suffixes = [".mlir", ".test", ".onnxtext", ".pt2text"]
config.excludes = ["Inputs", "CMakeLists.txt", "lit.cfg.py", "lit.site.cfg.py"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.pquant_binary_dir, "test")

llvm_config.with_system_environment(["HOME", "TMP", "TEMP", "LD_LIBRARY_PATH"])
llvm_config.with_environment("PATH", config.llvm_tools_dir, append_path=True)
llvm_config.with_environment("PATH", config.pquant_tools_dir, append_path=True)
config.environment["LC_ALL"] = "C"
# Tests run side by side: threads that wait must not take the others' CPUs.
config.environment["OMP_WAIT_POLICY"] = "passive"
config.environment["FILECHECK_OPTS"] = "-enable-var-scope --allow-unused-prefixes=false"

# LLVM's libraries are not built with AddressSanitizer and would not see what our half of an allocator poisons.
with open(os.path.join(config.pquant_binary_dir, "CMakeCache.txt")) as cache:
    if "PQUANT_SANITIZE:BOOL=ON" in cache.read():
        config.available_features.add("sanitizer")
        config.environment["ASAN_OPTIONS"] = "allow_user_poisoning=0:allocator_may_return_null=1"

config.recursiveExpansionLimit = 4
config.substitutions += [
    ("%python", config.python_executable),
    ("%pquant_src_root", config.pquant_source_dir),
    ("%pquant_obj_root", config.pquant_binary_dir),
    (
        "%runner_libs",
        ",".join(
            os.path.join(config.llvm_lib_dir, "lib" + name + config.llvm_shlib_ext)
            for name in ("mlir_runner_utils", "mlir_c_runner_utils")
        ),
    ),
]

# Runs @main of the test on the host: definitions of pquant ops, then upstream
# lowerings only. This is the oracle that other paths are compared with;
# canonicalization before must not change what it gives.
lower_definitions = (
    "--pquant-decompose --convert-elementwise-to-linalg"
    " --one-shot-bufferize=bufferize-function-boundaries"
    " --convert-linalg-to-loops --expand-strided-metadata --lower-affine"
    " --convert-scf-to-cf --convert-math-to-llvm --convert-math-to-libm"
    " --finalize-memref-to-llvm --convert-func-to-llvm --convert-arith-to-llvm"
    " --convert-index-to-llvm --convert-cf-to-llvm --reconcile-unrealized-casts"
)
run_main = "mlir-runner -e main --entry-point-result=void --shared-libs=%runner_libs"
config.substitutions += [
    ("%run_definitions", "pquant-opt %s " + lower_definitions + " | " + run_main),
    ("%run_canonical_definitions", "pquant-opt %s --canonicalize " + lower_definitions + " | " + run_main),
    ("%lower_definitions", lower_definitions),
    ("%run_main", run_main),
    (
        "%run_kernels",
        config.python_executable + " " + config.test_source_root + "/Semantics/Inputs/run_kernels.py",
    ),
]

# Every tool that is built, and what the host can run.
if os.path.isdir(config.pquant_tools_dir):
    config.available_features.update(os.listdir(config.pquant_tools_dir))
if os.path.exists(os.path.join(config.llvm_tools_dir, "mlir-runner")):
    config.available_features.add("mlir-runner")
config.available_features.add("host-" + platform.machine())

# Cross-compiled artifacts: what links them, and what runs them.
if os.path.exists(os.path.join(config.pquant_binary_dir, "lib", "aarch64-linux-gnu", "libpquant_run.a")):
    config.available_features.add("aarch64-runtime")
    if lit.util.which("qemu-aarch64"):
        config.available_features.add("aarch64")
