# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Makes a shared object for the CPU of a model's GPU kernels: `translate_kernels.py KERNELS.mlir KERNELS.so`.

KERNELS.mlir is what `pquant-compile --target=nvptx --compile-to=kernels` writes. Each kernel gets a function `call_NAME` that
takes its arguments in 64-bit words; intrinsics become calls of driver.c.
"""

import re
import subprocess
import sys

DECLARATIONS = """
declare void @nvvm_wait()
declare float @nvvm_shfl_sync_bfly_f32(i32, float, i32, i32)
declare float @nvvm_shfl_sync_idx_f32(i32, float, i32, i32)
declare i32 @nvvm_shfl_sync_bfly_i32(i32, i32, i32, i32)
declare float @nvvm_ex2_approx_ftz_f32(float)
declare i32 @nvvm_idp4a_s_s(i32, i32, i32)
declare i32 @nvvm_read_ptx_sreg_tid_x()
declare i32 @nvvm_read_ptx_sreg_ctaid_x()
declare i32 @nvvm_read_ptx_sreg_ctaid_y()
declare void @nvvm_barrier_cta_sync_aligned_all(i32)
declare i32 @nvvm_barrier_cta_red_popc_aligned_all(i32, i1)
declare void @nvvm_mma(ptr, i32)
"""


def take_kernels(path):
    """The text of the GPU module, whose lines are indented by two more than the module's own."""
    lines, inside = [], False
    for line in open(path, encoding="utf-8", errors="replace"):
        if inside and line.rstrip("\n") == "  }":
            break
        if inside:
            lines.append(line)
        inside = inside or line.startswith("  gpu.module @kernels")
    return "module {\n" + "".join(lines) + "}\n"


def define_mma(name, kind, result="i32"):
    """A matrix instruction: ten words in memory for C, whose last four are the result."""
    types = ["i32"] * 6 + [result] * 4
    words = "".join(
        f"  %p{i} = getelementptr i32, ptr %m, i32 {i}\n  store {types[i]} %a{i}, ptr %p{i}\n" for i in range(10)
    )
    struct = "{" + ", ".join([result] * 4) + "}"
    results = "".join(
        f"  %v{i} = load {result}, ptr %p{6 + i}\n"
        f"  %r{i} = insertvalue {struct} {f'%r{i - 1}' if i else 'undef'}, {result} %v{i}, {i}\n"
        for i in range(4)
    )
    arguments = ", ".join(f"{types[i]} %a{i}" for i in range(10))
    return (
        f"define internal {struct} @{name}({arguments}) {{\n  %m = alloca [10 x i32]\n{words}"
        f"  call void @nvvm_mma(ptr %m, i32 {kind})\n{results}  ret {struct} %r3\n}}\n"
    )


def define_call(name, types):
    loads = "".join(
        f"  %p{i} = getelementptr i64, ptr %words, i32 {i}\n  %a{i} = load {type}, ptr %p{i}\n"
        for i, type in enumerate(types)
    )
    arguments = ", ".join(f"{type} %a{i}" for i, type in enumerate(types))
    return f"define void @call_{name}(ptr %words) {{\n{loads}  call void @{name}({arguments})\n  ret void\n}}\n"


def translate(text):
    """LLVM IR for NVPTX to IR for the host."""
    text = re.sub(r"^target (datalayout|triple).*\n", "", text, flags=re.M).replace("ptx_kernel ", "")
    assembly = 'call void asm sideeffect "griddepcontrol.{};", "~{{memory}}"()'
    text = text.replace(assembly.format("launch_dependents"), "")
    text = text.replace(assembly.format("wait"), "call void @nvvm_wait()")
    text = re.sub(r"^declare.*@llvm\.nvvm\..*\n", "", text, flags=re.M)
    text = re.sub(r"@llvm\.(nvvm\.[\w.]+)", lambda m: "@" + m.group(1).replace(".", "_"), text)
    text += DECLARATIONS + define_mma("nvvm_mma_and_popc_m16n8k256_row_col_b1", 0)
    text += define_mma("nvvm_mma_m16n8k32_row_col_s8", 1)
    text += define_mma("nvvm_mma_m16n8k8_row_col_tf32", 2, "float")
    for name, arguments in re.findall(r"^define void @(\w+)\(([^)]*)\)", text, flags=re.M):
        text += define_call(name, [a.split()[0] for a in arguments.split(",") if a.strip()])
    return text


def main():
    source, result = sys.argv[1:]
    run = {"check": True, "stdout": subprocess.PIPE, "text": True}
    ir = subprocess.run(["mlir-translate", "--mlir-to-llvmir"], input=take_kernels(source), **run).stdout
    # Two roundings where the kernels have two; an `fma` of theirs is one on the CPU too.
    flags = ["-O1", "-shared", "-fPIC", "-march=x86-64-v3", "-ffp-contract=off", "-Wno-override-module", "-x", "ir", "-"]
    subprocess.run(["clang-22", *flags, "-o", result], input=translate(ir), **run)


if __name__ == "__main__":
    main()
