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

sample=python/sample
say "compiling the sample model $sample/model.onnx"
build/bin/pquant-compile "$sample/model.onnx" -o build/sample.so --timing
say "checking its kernels on this machine"
build/bin/pquant-run build/sample.so --self-test
say "writing with it"
PYTHONPATH=python /usr/bin/python3 -m pquant.generate build/sample.so --tokenizer "$sample/tokenizer.model" \
  --prompt "A dog is" --tokens 60 --temperature 0.7 --top-k 40 --seed 4 --speed
