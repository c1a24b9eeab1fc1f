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

sample=python/sample/model.onnx
say "compiling the sample model $sample"
build/bin/pquant-compile "$sample" -o build/chat --timing
say "checking its kernels on this machine"
build/chat --self-test
say "writing with it: build/chat \"A dog is\""
build/chat "A dog is" -n 60 --temperature 0.7 --top-k 40 --seed 4
