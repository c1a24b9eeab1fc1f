//===- Library.cpp - Open a model in a shared library ---------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Apart from Model.cpp so that a static executable does not link dlopen. The
// library's generated code calls the runtime copy inside the library; its
// pquant_rt_enter connects that copy with this one.
//
//===----------------------------------------------------------------------===//

#include "Model.h"

#include <cstdio>
#include <cstring>
#include <dlfcn.h>

using namespace pquant;

static PQuantStatus openLoaded(void *library, const char *path,
                               const char *symbol, PQuantModel **model) {
  using DescriptorFn = const PQuantModelDescriptor *(*)();
  auto descriptor = reinterpret_cast<DescriptorFn>(dlsym(library, symbol));
  if (!descriptor)
    return setError(PQUANT_NOT_FOUND,
                    "'%s' is not a pquant model: it has no symbol '%s'", path,
                    symbol);
  auto enter = reinterpret_cast<EnterFn>(dlsym(library, "pquant_rt_enter"));
  if (!enter)
    return setError(PQUANT_NOT_FOUND,
                    "'%s' was linked without the pquant runtime: it has no "
                    "symbol 'pquant_rt_enter'",
                    path);
  (void)pquant_rt_gpu_driver(); // a library may need it
  PQuantStatus status = openModel(descriptor(), enter, model);
  if (status != PQUANT_OK)
    return status;
  (*model)->library = library;
  (*model)->unload = [](void *handle) { dlclose(handle); };
  return PQUANT_OK;
}

PQuantStatus pquant_open_library(const char *path, const char *symbol,
                                 PQuantModel **model) {
  *model = nullptr;
  // A name without a slash would be looked up in the system's folders.
  char local[4096];
  const char *file = path;
  if (!strchr(path, '/')) {
    snprintf(local, sizeof local, "./%s", path);
    file = local;
  }
  void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return setError(PQUANT_NOT_FOUND, "could not load the library: %s",
                    dlerror());
  PQuantStatus status = openLoaded(
      library, path, symbol ? symbol : "pquant_model_descriptor", model);
  if (status != PQUANT_OK)
    dlclose(library);
  return status;
}
