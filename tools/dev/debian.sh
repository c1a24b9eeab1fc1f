# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# What get-started.sh and run-tests.sh share: packages of Debian 12 and the release build. Sourced by bash.

# What building and using pquant needs, and what only its tests need.
BUILD_PACKAGES=(
  clang-22 lld-22 llvm-22-dev llvm-22-tools libmlir-22-dev mlir-22-tools libomp-22-dev
  g++ cmake ninja-build libonnx-dev libprotobuf-dev protobuf-compiler libminizip-dev zlib1g-dev
  python3 python3-numpy python3-onnx python3-sentencepiece
)
TEST_PACKAGES=(
  libbenchmark-dev libclang-rt-22-dev libgtest-dev python3-matplotlib python3-pip python3-setuptools python3-torch
  python3-tqdm python3-wheel
)

# What cross-compiling for AArch64 needs, and what runs it on this machine.
AARCH64_PACKAGES=(g++-aarch64-linux-gnu)
AARCH64_TEST_PACKAGES=(qemu-user)

say() { printf '== %s\n' "$*"; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

is_installed() {
  [[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null || true)" == installed ]]
}

# Installs those of the named packages that are missing; names every package that cannot be had.
install_packages() {
  local package missing=() absent=() as_root=()
  command -v apt-get >/dev/null || fail "expected Debian 12 with apt-get; install by hand: $*"
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    command -v sudo >/dev/null ||
      fail "expected root or sudo to install missing packages; as root: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  for package in "${missing[@]}"; do
    [[ -n "$(apt-cache madison "$package" 2>/dev/null)" ]] || absent+=("$package")
  done
  ((${#absent[@]} == 0)) ||
    fail "apt knows no package ${absent[*]}; expected Debian 12 (bookworm) with its security updates enabled"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# Unpacks the static zlib and minizip of Debian for arm64 into build/debian-arm64, where CMake looks for them. The system's
# own packages and architectures stay as they are.
unpack_arm64_libraries() {
  local to="$PWD/build/debian-arm64" work
  [[ -e "$to/usr/lib/aarch64-linux-gnu/libminizip.a" ]] && return
  say "unpacking zlib and minizip for arm64 into build/debian-arm64"
  work="$(mktemp -d)"
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$to"
  : >"$work/status"
  local apt=(apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=
    -o "Dir::State::lists=$work/lists" -o "Dir::State::status=$work/status" -o "Dir::Cache=$work/cache")
  "${apt[@]}" update || fail "apt-get update for arm64 failed"
  (cd "$work" && "${apt[@]}" download zlib1g-dev libminizip-dev) || fail "cannot download zlib1g-dev and libminizip-dev for arm64"
  local package
  for package in "$work"/*.deb; do
    dpkg -x "$package" "$to"
  done
  rm -rf "$work"
}

# Configures and builds everything into build/; what only tests need, when $1 is ON, and not when it is OFF.
build_pquant() {
  local options=("-DPQUANT_BUILD_TESTS=$1")
  if command -v ccache >/dev/null; then
    options+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  fi
  say "building into build/"
  cmake --preset release "${options[@]}"
  cmake --build --preset release
}
