"""Compares the runtime's CPU detection, the program argv[1], with what Linux lists in /proc/cpuinfo."""

import subprocess
import sys

# LLVM's names, and Linux's where they are others.
NAMES = """
sse sse2 sse3=pni ssse3 sse4.1=sse4_1 sse4.2=sse4_2 cx8 cx16 cmov popcnt movbe sahf=lahf_lm lzcnt=abm
prfchw=3dnowprefetch xop fma4 tbm fma avx f16c bmi=bmi1 bmi2 avx2 gfni avxvnni=avx_vnni avxifma=avx_ifma
avx512f avx512dq avx512ifma avx512cd avx512bw avx512vl avx512vbmi avx512vbmi2=avx512_vbmi2
avx512vnni=avx512_vnni avx512bitalg=avx512_bitalg avx512vpopcntdq=avx512_vpopcntdq
avx512vp2intersect=avx512_vp2intersect avx512fp16=avx512_fp16 avx512bf16=avx512_bf16
amx-tile=amx_tile amx-int8=amx_int8 amx-bf16=amx_bf16
""".split()

with open("/proc/cpuinfo") as info:
    flags = set(next(line for line in info if line.startswith("flags")).split(":")[1].split())
linux = {name.partition("=")[0]: name.rpartition("=")[2] in flags for name in NAMES}
asked = subprocess.run([sys.argv[1], *linux, "sgx", "x-made-up"], check=True, capture_output=True, text=True)
found = asked.stdout.split()
for name, expected in linux.items():
    if (name in found) != expected:
        print(f"{name}: expected {expected}, but got {not expected}")
print("sgx, which no kernel uses:", "sgx" in found)
print("a name that nobody knows:", "x-made-up" in found)
