//===- OutputText.cpp - A text file that appears when complete ------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every error of writing is kept by the stream and asked for once, at the end.
//
//===----------------------------------------------------------------------===//

#include "OutputText.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

using namespace pquant;

static bool failToWrite(const char *target, Text &error) {
  error.append("could not write '%s': %s", target, strerror(errno));
  return false;
}

bool TemporaryFile::create(const char *target, Text &error) {
  int length = snprintf(path, sizeof path, "%s.XXXXXX", target);
  errno = ENAMETOOLONG;
  int descriptor = length < int(sizeof path) ? mkstemp(path) : -1;
  if (descriptor < 0)
    return failToWrite(target, error);
  // mkstemp makes a private file; the result gets the usual permissions.
  mode_t mask = umask(0);
  umask(mask);
  fchmod(descriptor, 0666 & ~mask);
  close(descriptor);
  return true;
}

bool TemporaryFile::finish(const char *target, bool good, Text &error) {
  if (good && !rename(path, target))
    return true;
  failToWrite(target, error);
  unlink(path);
  return false;
}

bool OutputText::open(const char *path, Text &error) {
  if (!temporary.create(path, error))
    return false;
  target = path;
  file = fopen(temporary.path, "w");
  return file || temporary.finish(path, /*good=*/false, error);
}

OutputText::~OutputText() {
  if (!file)
    return;
  fclose(file);
  unlink(temporary.path);
}

void OutputText::print(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vfprintf(file, format, args);
  va_end(args);
}

void OutputText::printString(const char *text) {
  fputc('"', file);
  for (; *text; ++text) {
    auto byte = static_cast<unsigned char>(*text);
    if (byte == '"' || byte == '\\')
      fprintf(file, "\\%c", byte);
    else if (byte < 0x20)
      fprintf(file, "\\u%04x", byte);
    else
      fputc(byte, file);
  }
  fputc('"', file);
}

bool OutputText::keep(Text &error) {
  bool good = !ferror(file);
  errno = EIO; // unless fclose knows better
  good = !fclose(file) && good;
  file = nullptr;
  return temporary.finish(target, good, error);
}
