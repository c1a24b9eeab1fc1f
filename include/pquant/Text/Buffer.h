//===- Buffer.h - A growable array without the C++ library ------*- C++ -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What ships with a model links with a C compiler, so it has no std::vector.
// Memory that cannot be had is remembered, not thrown: check `failed` once when
// all is appended.
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_TEXT_BUFFER_H
#define PQUANT_TEXT_BUFFER_H

#include <cstdlib>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace pquant::text {

/// An array of plain values.
template <typename T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

public:
  Buffer() = default;
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;
  ~Buffer() { free(data); }

  void append(const T *values, size_t count) {
    if (count > capacity - size && !grow(count))
      return;
    if (count)
      memcpy(data + size, values, count * sizeof(T));
    size += count;
  }
  void append(const T &value) {
    T copy = value; // may lie in this buffer
    append(&copy, 1);
  }
  void append(std::string_view text) { append(text.data(), text.size()); }
  /// `count` values of zero bytes in the place of what is there.
  void assignZero(size_t count) {
    size = 0;
    if (count > capacity && !grow(count))
      return;
    if (count)
      memset(static_cast<void *>(data), 0, count * sizeof(T));
    size = count;
  }
  void clear() { size = 0; }
  T &operator[](size_t i) { return data[i]; }
  const T &operator[](size_t i) const { return data[i]; }
  T &back() { return data[size - 1]; }
  T *begin() { return data; }
  T *end() { return data + size; }
  const T *begin() const { return data; }
  const T *end() const { return data + size; }

  T *data = nullptr;
  size_t size = 0;
  bool failed = false; ///< memory ran out; something is missing

private:
  bool grow(size_t count) {
    size_t wanted = size + count > 2 * capacity ? size + count : 2 * capacity;
    if (void *grown = realloc(static_cast<void *>(data), wanted * sizeof(T))) {
      data = static_cast<T *>(grown);
      capacity = wanted;
      return true;
    }
    failed = true;
    return false;
  }
  size_t capacity = 0;
};

/// The text in a buffer of characters, valid until it grows.
inline std::string_view view(const Buffer<char> &buffer) {
  return {buffer.data, buffer.size};
}

} // namespace pquant::text

#endif // PQUANT_TEXT_BUFFER_H
