//===- WeightFile.cpp - Weights in a file of their own --------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Finds, checks and maps the file. Opening reads its first page only; the
// checksum of the rest is computed when it is asked for.
//
//===----------------------------------------------------------------------===//

#include "Model.h"

#include "pquant/Layout/WeightFile.h"

#include <cerrno>
#include <cinttypes>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace pquant;
using layout::WeightFileHeader;

//===----------------------------------------------------------------------===//
// Where the file is
//===----------------------------------------------------------------------===//

namespace {
/// The program or library whose memory `address` is in.
struct Artifact {
  uintptr_t address;
  char path[PATH_MAX];
};
} // namespace

/// Called for every loaded object; stops at the one that is looked for.
static int checkObject(dl_phdr_info *object, size_t, void *data) {
  Artifact &artifact = *static_cast<Artifact *>(data);
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto &segment = object->dlpi_phdr[i];
    uintptr_t begin = object->dlpi_addr + segment.p_vaddr;
    if (segment.p_type != PT_LOAD || artifact.address < begin ||
        artifact.address - begin >= segment.p_memsz)
      continue;
    snprintf(artifact.path, sizeof artifact.path, "%s", object->dlpi_name);
    return 1;
  }
  return 0;
}

/// The path of the artifact that holds `descriptor`.
static void findArtifact(const PQuantModelDescriptor *descriptor,
                         Artifact &artifact) {
  artifact.address = reinterpret_cast<uintptr_t>(descriptor);
  artifact.path[0] = 0;
  dl_iterate_phdr(checkObject, &artifact);
  if (artifact.path[0]) // the program itself has no name
    return;
  ssize_t length =
      readlink("/proc/self/exe", artifact.path, sizeof artifact.path - 1);
  if (length > 0) {
    artifact.path[length] = 0;
    return;
  }
  auto *started = reinterpret_cast<const char *>(getauxval(AT_EXECFN));
  snprintf(artifact.path, sizeof artifact.path, "%s", started ? started : "");
}

/// Puts the path that the descriptor names, from the artifact's folder, into
/// `path`.
static void findWeightFile(const PQuantModelDescriptor *descriptor,
                           char (&path)[PATH_MAX]) {
  const char *name = descriptor->weightFile;
  Artifact artifact;
  findArtifact(descriptor, artifact);
  const char *slash = strrchr(artifact.path, '/');
  int folder = *name != '/' && slash ? int(slash - artifact.path) + 1 : 0;
  if (folder + strlen(name) >= sizeof path)
    folder = 0;
  snprintf(path, sizeof path, "%.*s%s", folder, artifact.path, name);
}

//===----------------------------------------------------------------------===//
// Check and map
//===----------------------------------------------------------------------===//

static PQuantStatus checkHeader(const PQuantModelDescriptor &descriptor,
                                int file, const char *path) {
  struct stat status;
  if (fstat(file, &status) || !S_ISREG(status.st_mode))
    return setError(PQUANT_INVALID_ARGUMENT,
                    "weight file '%s': expected a regular file", path);
  WeightFileHeader header, expected;
  if (pread(file, &header, sizeof header, 0) != ssize_t(sizeof header) ||
      memcmp(header.magic, expected.magic, sizeof header.magic) ||
      header.version != expected.version)
    return setError(PQUANT_INVALID_ARGUMENT,
                    "'%s' is not a weight file of this version of pquant",
                    path);
  if (header.bytes != descriptor.weightBytes ||
      header.hash != descriptor.weightHash)
    return setError(PQUANT_INVALID_ARGUMENT,
                    "weight file '%s' belongs to another model: expected "
                    "checksum %016" PRIx64 ", but got %016" PRIx64,
                    path, descriptor.weightHash, header.hash);
  uint64_t size = layout::kWeightOffset + header.bytes;
  if (uint64_t(status.st_size) == size)
    return PQUANT_OK;
  return setError(PQUANT_INVALID_ARGUMENT,
                  "weight file '%s': expected %" PRIu64
                  " bytes, but got %" PRId64,
                  path, size, int64_t(status.st_size));
}

static PQuantStatus mapWeights(PQuantModel &model, int file, const char *path) {
  PQuantStatus status = checkHeader(*model.descriptor, file, path);
  if (status != PQUANT_OK)
    return status;
  uint64_t size = layout::kWeightOffset + model.descriptor->weightBytes;
  void *mapping = mmap(nullptr, size_t(size), PROT_READ, MAP_PRIVATE, file, 0);
  if (mapping == MAP_FAILED)
    return setError(PQUANT_OUT_OF_MEMORY, "weight file '%s': %s", path,
                    strerror(errno));
  model.mapping = mapping;
  model.mappedBytes = size;
  model.weights = static_cast<const char *>(mapping) + layout::kWeightOffset;
  return PQUANT_OK;
}

PQuantStatus pquant_load_weights(PQuantModel *model, const char *path) {
  if (model->weights || !model->descriptor->weightFile)
    return PQUANT_OK;
  char found[PATH_MAX];
  if (!path || !*path)
    path = getenv("PQUANT_WEIGHTS");
  if (!path || !*path) {
    findWeightFile(model->descriptor, found);
    path = found;
  }
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return setError(PQUANT_NOT_FOUND,
                    "could not open the weight file '%s': %s; PQUANT_WEIGHTS "
                    "names another place",
                    path, strerror(errno));
  PQuantStatus status = mapWeights(*model, file, path);
  close(file);
  return status;
}

PQuantStatus pquant_verify_weights(PQuantModel *model) {
  PQuantStatus status = pquant_load_weights(model, nullptr);
  if (status != PQUANT_OK || !model->mapping)
    return status;
  const PQuantModelDescriptor &descriptor = *model->descriptor;
  uint64_t hash =
      layout::hashWeights(model->weights, size_t(descriptor.weightBytes));
  if (hash == descriptor.weightHash)
    return PQUANT_OK;
  return setError(PQUANT_RUN_FAILED,
                  "the weights were changed: expected checksum %016" PRIx64
                  ", but got %016" PRIx64,
                  descriptor.weightHash, hash);
}

void pquant::unmapWeights(PQuantModel &model) {
  if (model.mapping)
    munmap(model.mapping, size_t(model.mappedBytes));
  model.mapping = nullptr;
}
