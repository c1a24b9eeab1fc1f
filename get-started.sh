#!/usr/bin/env bash
# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Installs what is missing, builds pquant, compiles the sample model and runs it. For Debian 12, as root or with sudo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source tools/dev/debian.sh

install_packages "${BUILD_PACKAGES[@]}"
build_pquant OFF

sample=build/sample
mkdir -p "$sample"
say "making the sample model $sample/sample.onnx"
PYTHONPATH=python /usr/bin/python3 -m pquant.make_sample "$sample/sample.onnx"
say "compiling it to the executable $sample/sample"
build/bin/pquant-compile "$sample/sample.onnx" -o "$sample/sample"
say "running it on $sample/sample.npz and comparing with the NumPy reference"
"$sample/sample" --inputs "$sample/sample.npz" --expect "$sample/sample.npz"
