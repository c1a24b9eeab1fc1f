#!/usr/bin/env bash
# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Installs what executables and libraries for AArch64 are linked with, and builds pquant with it. For Debian 12, as root or
# with sudo. What was built before stays; run-tests.sh does the same.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tools/dev/debian.sh

install_packages "${BUILD_PACKAGES[@]}" "${AARCH64_PACKAGES[@]}"
unpack_arm64_libraries
build_pquant OFF
