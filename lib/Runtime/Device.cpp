//===- Device.cpp - A GPU that runs a model -------------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Device.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace pquant;

const void *pquant_rt_gpu_driver() { return nullptr; }

//===----------------------------------------------------------------------===//
// Open and close
//===----------------------------------------------------------------------===//

PQuantStatus Device::failMemory(CudaResult result, uint64_t bytes,
                                const char *purpose) {
  size_t available = 0, total = 0;
  cuda->memoryInfo(&available, &total);
  char what[256];
  snprintf(what, sizeof what,
           "GPU %d (%s): could not allocate %" PRIu64
           " bytes for %s, %zu of %zu are free",
           ordinal, name, bytes, purpose, available, total);
  return fail(result, what);
}

/// Loads the machine code for this very chip, else PTX, which the driver
/// compiles.
PQuantStatus Device::loadKernels(const PQuantGPU &code) {
  CudaResult result = 1;
  if (code.image)
    result = cuda->moduleLoad(&module, code.image, 0, nullptr, nullptr);
  char log[512] = "";
  if (result) {
    // CU_JIT_ERROR_LOG_BUFFER and its size.
    int options[] = {5, 6};
    void *values[] = {log, reinterpret_cast<void *>(sizeof log - 1)};
    result = cuda->moduleLoad(&module, code.ptx, 2, options, values);
  }
  if (result) {
    char what[800];
    snprintf(what, sizeof what,
             "GPU %d (%s) cannot run the model's kernels for %s%s%s", ordinal,
             name, code.chip, *log ? ": " : "", log);
    return fail(result, what);
  }
  functions =
      static_cast<CudaHandle *>(calloc(code.numKernels, sizeof(CudaHandle)));
  if (!functions)
    return setError(PQUANT_OUT_OF_MEMORY, "out of memory");
  if (code.canOverlap)
    graphs.allowOverlap();
  for (uint32_t i = 0; i < code.numKernels; ++i)
    if ((result = cuda->moduleFunction(&functions[i], module, code.kernels[i])))
      return fail(result, code.kernels[i]);
  return PQUANT_OK;
}

PQuantStatus Device::start(const PQuantModelDescriptor &descriptor,
                           const void *weights, int wanted) {
  cuda = loadCuda();
  if (!cuda)
    return PQUANT_UNSUPPORTED;
  ordinal = wanted;
  int count = 0;
  CudaResult result = cuda->deviceCount(&count);
  if (!result && wanted >= count)
    return setError(PQUANT_UNSUPPORTED,
                    "there is no GPU %d: the CUDA driver has %d", wanted,
                    count);
  if (!result)
    result = cuda->deviceGet(&device, wanted);
  if (!result)
    result = cuda->deviceName(name, sizeof name, device);
  int major = 0, minor = 0;
  if (!result)
    result = cuda->deviceAttribute(&major, kCudaChipMajor, device);
  if (!result)
    result = cuda->deviceAttribute(&minor, kCudaChipMinor, device);
  snprintf(chip, sizeof chip, "sm_%d%d", major, minor);
  if (!result)
    result = cuda->contextRetain(&context, device);
  if (!result)
    result = cuda->contextSet(context);
  if (!result) // apart from the default stream of other code
    result = cuda->streamCreate(&stream, /*CU_STREAM_NON_BLOCKING*/ 1);
  if (result)
    return fail(result, "could not open the GPU");
  PQuantStatus status = loadKernels(*descriptor.gpu);
  void *base = nullptr;
  if (status == PQUANT_OK && descriptor.weightBytes)
    status = allocatePersistent(descriptor.weightBytes, "the weights", &base);
  weightBase = reinterpret_cast<CudaPointer>(base);
  if (status != PQUANT_OK || !descriptor.weightBytes)
    return status;
  return copy(base, weights, descriptor.weightBytes);
}

Device *Device::open(const PQuantModelDescriptor &descriptor,
                     const void *weights, int ordinal) {
  auto *result = static_cast<Device *>(calloc(1, sizeof(Device)));
  if (!result) {
    setError(PQUANT_OUT_OF_MEMORY, "out of memory: could not open the GPU");
    return nullptr;
  }
  if (result->start(descriptor, weights, ordinal) == PQUANT_OK)
    return result;
  result->close();
  return nullptr;
}

void Device::close() {
  if (context) {
    cuda->contextSet(context);
    graphs.release(*cuda);
    meter.release(*cuda);
    closeRoof();
    for (size_t i = 0; i < numBlocks; ++i) {
      cuda->release(blocks[i]->address);
      ::free(blocks[i]);
    }
    if (weightBase)
      cuda->release(weightBase);
    if (module)
      cuda->moduleUnload(module);
    if (stream)
      cuda->streamDestroy(stream);
    cuda->contextRelease(device);
  }
  ::free(blocks);
  ::free(functions);
  ::free(this);
}

PQuantStatus Device::enter() {
  CudaResult result = cuda->contextSet(context);
  return result ? fail(result, "could not use the GPU") : PQUANT_OK;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

static constexpr uint64_t kLeastBlock = 256;

static int log2Floor(uint64_t value) { return 63 - __builtin_clzll(value); }

/// Rounds up to one of four sizes per power of two; 0 when that is too large.
static uint64_t classCapacity(uint64_t bytes) {
  if (bytes > (uint64_t(1) << 62))
    return 0;
  if (bytes <= kLeastBlock)
    return kLeastBlock;
  uint64_t step = (uint64_t(1) << log2Floor(bytes - 1)) / 4;
  return (bytes + step - 1) / step * step;
}

static int classIndex(uint64_t capacity) {
  int power = log2Floor(capacity);
  return power * 4 + int((capacity >> (power - 2)) & 3);
}

/// The block at `address`, or the place where one would be.
static size_t lowerBound(DeviceBlock **blocks, size_t count,
                         CudaPointer address) {
  size_t low = 0;
  while (low < count) {
    size_t middle = (low + count) / 2;
    if (blocks[middle]->address < address)
      low = middle + 1;
    else
      count = middle;
  }
  return low;
}

DeviceBlock *Device::find(CudaPointer address) {
  size_t at = lowerBound(blocks, numBlocks, address);
  return at < numBlocks && blocks[at]->address == address ? blocks[at]
                                                          : nullptr;
}

DeviceBlock *Device::create(uint64_t capacity) {
  if (numBlocks == roomForBlocks) {
    size_t larger = roomForBlocks ? 2 * roomForBlocks : 64;
    void *moved = realloc(blocks, larger * sizeof *blocks);
    if (!moved) {
      setError(PQUANT_OUT_OF_MEMORY, "out of memory");
      return nullptr;
    }
    blocks = static_cast<DeviceBlock **>(moved);
    roomForBlocks = larger;
  }
  void *memory = nullptr;
  if (allocatePersistent(capacity, "activations", &memory) != PQUANT_OK) {
    trim();
    if (allocatePersistent(capacity, "activations", &memory) != PQUANT_OK)
      return nullptr;
  }
  auto *block = static_cast<DeviceBlock *>(malloc(sizeof(DeviceBlock)));
  if (!block) {
    freePersistent(memory);
    setError(PQUANT_OUT_OF_MEMORY, "out of memory");
    return nullptr;
  }
  *block = {reinterpret_cast<CudaPointer>(memory), capacity, nullptr, true};
  size_t at = lowerBound(blocks, numBlocks, block->address);
  memmove(blocks + at + 1, blocks + at, (numBlocks - at) * sizeof *blocks);
  blocks[at] = block;
  ++numBlocks;
  return block;
}

/// Gives free blocks back to the driver.
void Device::trim() {
  flush();
  cuda->streamSynchronize(stream);
  size_t kept = 0;
  for (size_t i = 0; i < numBlocks; ++i) {
    if (blocks[i]->used) {
      blocks[kept++] = blocks[i];
      continue;
    }
    cuda->release(blocks[i]->address);
    ::free(blocks[i]);
  }
  numBlocks = kept;
  memset(freeBlocks, 0, sizeof freeBlocks);
}

void *Device::allocate(uint64_t bytes) {
  uint64_t capacity = classCapacity(bytes);
  if (!capacity) {
    failMemory(kCudaOutOfMemory, bytes, "activations");
    return nullptr;
  }
  // The lowest address, so that equal runs have equal addresses.
  DeviceBlock *&head = freeBlocks[classIndex(capacity)];
  DeviceBlock *block = head;
  if (block)
    head = block->next;
  else
    block = create(capacity);
  if (!block)
    return nullptr;
  block->used = true;
  usedBytes += capacity;
  mostBytes = usedBytes > mostBytes ? usedBytes : mostBytes;
  return reinterpret_cast<void *>(block->address);
}

void Device::free(void *pointer) {
  DeviceBlock *block = find(reinterpret_cast<CudaPointer>(pointer));
  if (!block || !block->used)
    return;
  block->used = false;
  usedBytes -= block->capacity;
  DeviceBlock **slot = &freeBlocks[classIndex(block->capacity)];
  while (*slot && (*slot)->address < block->address)
    slot = &(*slot)->next;
  block->next = *slot;
  *slot = block;
}

PQuantStatus Device::allocatePersistent(uint64_t bytes, const char *purpose,
                                        void **result) {
  CudaPointer address = 0;
  if (CudaResult code = cuda->allocate(&address, bytes ? bytes : 1))
    return failMemory(code, bytes, purpose);
  *result = reinterpret_cast<void *>(address);
  return PQUANT_OK;
}

void Device::freePersistent(void *pointer) {
  if (pointer && enter() == PQUANT_OK)
    cuda->release(reinterpret_cast<CudaPointer>(pointer));
}

//===----------------------------------------------------------------------===//
// Work
//===----------------------------------------------------------------------===//

PQuantStatus Device::flush() {
  if (!meter.isEmpty())
    if (CudaResult result = meter.collect(*cuda, stream))
      return fail(result, "the GPU failed");
  if (graphs.isEmpty())
    return PQUANT_OK;
  CudaResult result = 0;
  if (chooser)
    result = meter.mark(*cuda, stream, chooser, nullptr, 0, /*end=*/false);
  if (!result)
    result = graphs.flush(*cuda, stream, functions);
  if (!result && chooser)
    result = meter.mark(*cuda, stream, chooser, nullptr, 0, /*end=*/true);
  return result ? fail(result, "could not launch on the GPU") : PQUANT_OK;
}

PQuantStatus Device::copy(void *to, const void *from, uint64_t bytes) {
  PQuantStatus status = flush();
  if (status != PQUANT_OK || !bytes)
    return status;
  CudaResult result =
      cuda->copy(reinterpret_cast<CudaPointer>(to),
                 reinterpret_cast<CudaPointer>(from), bytes, stream);
  if (!result)
    result = cuda->streamSynchronize(stream);
  return result ? fail(result, "the GPU failed") : PQUANT_OK;
}

PQuantStatus Device::mark(ProbeSink *sink, const PQuantProbe *probe,
                          int64_t rows, bool end) {
  if (sink->only) {
    chooser = sink;
    isWanted = !end && !strcmp(probe->kind, sink->only);
    return PQUANT_OK;
  }
  CudaResult result = meter.mark(*cuda, stream, sink, probe, rows, end);
  return result ? fail(result, "could not time the GPU") : PQUANT_OK;
}

PQuantStatus Device::launch(const Launch &launch, const int64_t *arguments,
                            const ProbeSink *sink) {
  bool isChosen = !sink || !sink->only || isWanted;
  if (launch.gridX <= 0 || launch.gridY <= 0 || !isChosen)
    return PQUANT_OK;
  if (launch.gridX > INT32_MAX || launch.gridY > UINT16_MAX)
    return setError(PQUANT_RUN_FAILED,
                    "a tensor has more rows than the GPU takes at once");
  if (sink && !sink->only) {
    CudaResult result = launchKernel(*cuda, stream, functions[launch.kernel],
                                     launch, arguments);
    return result ? fail(result, "could not launch on the GPU") : PQUANT_OK;
  }
  return graphs.append(launch, arguments)
             ? PQUANT_OK
             : setError(PQUANT_OUT_OF_MEMORY, "out of memory");
}

PQuantStatus Device::endRun() {
  PQuantStatus status = flush();
  if (status == PQUANT_OK)
    status = flush(); // what was chosen is told of
  chooser = nullptr;
  isWanted = false;
  graphs.drop();
  CudaResult result = cuda->streamSynchronize(stream);
  for (size_t i = 0; i < numBlocks; ++i)
    free(reinterpret_cast<void *>(blocks[i]->address));
  if (status == PQUANT_OK && result)
    status = fail(result, "the GPU failed");
  return status;
}

//===----------------------------------------------------------------------===//
// Roof
//===----------------------------------------------------------------------===//

PQuantStatus Device::openRoof() {
  constexpr uint64_t wanted = uint64_t(2) << 30;
  PQuantStatus status = enter();
  if (status != PQUANT_OK)
    return status;
  size_t available = 0, total = 0;
  if (CudaResult result = cuda->memoryInfo(&available, &total))
    return fail(result, "could not measure the GPU's memory");
  uint64_t bytes = available / 2 < wanted ? available / 2 : wanted;
  bytes -= bytes % DeviceMeter::kBlockBytes;
  if (!bytes)
    return failMemory(kCudaOutOfMemory, DeviceMeter::kBlockBytes, "the roof");
  void *memory = nullptr;
  status = allocatePersistent(bytes, "the roof", &memory);
  roof = reinterpret_cast<CudaPointer>(memory);
  roofBytes = bytes;
  return status;
}

PQuantStatus Device::readRoof(double &bytesPerSecond) {
  PQuantStatus status = enter();
  if (status != PQUANT_OK)
    return status;
  CudaResult result =
      meter.read(*cuda, stream, roof, roofBytes, bytesPerSecond);
  return result ? fail(result, "could not measure the GPU's memory")
                : PQUANT_OK;
}

void Device::closeRoof() {
  freePersistent(reinterpret_cast<void *>(roof));
  roof = 0;
}
