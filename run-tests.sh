#!/usr/bin/env bash
# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Installs what is missing, builds pquant and runs all tests. For Debian 12, as root or with sudo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source tools/dev/debian.sh

install_packages "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}" "${AARCH64_PACKAGES[@]}" "${AARCH64_TEST_PACKAGES[@]}"
unpack_arm64_libraries
build_pquant ON
say "running the tests"
cmake --build --preset release --target check-pquant
