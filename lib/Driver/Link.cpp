//===- Link.cpp - From an object to an artifact ---------------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The link lines are explained in docs/Runtime.md.
//
//===----------------------------------------------------------------------===//

#include "Link.h"
#include "OutputFile.h"

#include "pquant/Runtime/ModelDescriptor.h"
#include "llvm/Object/Archive.h"
#include "llvm/Object/ArchiveWriter.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

using namespace pquant;

bool pquant::isCrossCompile(const CompilerOptions &options) {
  llvm::Triple target(options.triple), host(llvm::sys::getProcessTriple());
  return target.getArch() != host.getArch() || target.getOS() != host.getOS() ||
         target.getEnvironment() != host.getEnvironment();
}

std::string pquant::getSystemName(const CompilerOptions &options) {
  llvm::Triple target(options.triple);
  return (target.getArchName() + "-" + target.getOSName() + "-" +
          target.getEnvironmentName())
      .str();
}

/// The C compiler driver that links.
static FailureOr<std::string> findLinker(const CompilerOptions &options) {
  SmallVector<std::string> candidates = {"cc", "gcc", "clang-22", "clang"};
  if (isCrossCompile(options))
    candidates = {"clang-22", getSystemName(options) + "-gcc", "clang"};
  if (!options.linker.empty())
    candidates = {options.linker};
  for (const std::string &candidate : candidates) {
    if (auto path = llvm::sys::findProgramByName(candidate);
        path && llvm::sys::fs::can_execute(*path))
      return *path;
  }
  return reportError("no linker: expected one of " +
                     llvm::join(candidates, ", ") +
                     " on the PATH, or --linker=<C compiler>");
}

static FailureOr<std::string> findRuntime(const CompilerOptions &options,
                                          StringRef name) {
  SmallString<128> path(options.runtimeDirectory);
  llvm::sys::path::append(path, name);
  if (!llvm::sys::fs::exists(path))
    return reportError("the runtime library '" + path + "' is missing" +
                       (isCrossCompile(options)
                            ? ": pquant was built without the tools for " +
                                  getSystemName(options) +
                                  " (docs/CrossCompiling.md)"
                            : std::string()) +
                       "; --runtime-dir says where it is");
  return path.str().str();
}

LogicalResult pquant::checkLinking(const CompilerOptions &options) {
  if (!options.sysroot.empty() && !llvm::sys::fs::is_directory(options.sysroot))
    return reportError("--sysroot expected a directory, but got '" +
                       options.sysroot + "'");
  bool isProgram = options.emit == Emit::Executable;
  if (!isProgram && options.emit != Emit::Library &&
      options.emit != Emit::Static)
    return success();
  if (failed(findRuntime(options, "libpquant_rt.a")) ||
      (isProgram && failed(findRuntime(options, "libpquant_run.a"))))
    return failure();
  return success(options.emit == Emit::Static ||
                 succeeded(findLinker(options)));
}

/// What tells the C compiler which system it links for.
static SmallVector<std::string> getSystemFlags(const CompilerOptions &options,
                                               StringRef linker) {
  SmallVector<std::string> flags;
  if (!options.sysroot.empty())
    flags.push_back("--sysroot=" + options.sysroot);
  if (!isCrossCompile(options))
    return flags;
  if (llvm::sys::path::filename(linker).starts_with("clang"))
    flags.append({"--target=" + getSystemName(options), "-fuse-ld=lld"});
  // zlib and minizip lie beside the runtime.
  flags.push_back("-L" + options.runtimeDirectory);
  return flags;
}

/// The command that links `objects`; fails when the runtime is missing.
static FailureOr<SmallVector<std::string>>
makeLinkCommand(const CompilerOptions &options, StringRef linker,
                ArrayRef<std::string> objects, StringRef output) {
  FailureOr<std::string> runtime = findRuntime(options, "libpquant_rt.a");
  if (failed(runtime))
    return failure();
  SmallVector<std::string> command = {linker.str()};
  llvm::append_range(command, getSystemFlags(options, linker));
  llvm::append_range(command, objects);
  if (options.emit == Emit::Library) {
    command.append({"-shared", "-Wl,-Bsymbolic", "-Wl,--whole-archive",
                    *runtime, "-Wl,--no-whole-archive", "-Wl,--gc-sections",
                    "-Wl,-z,noexecstack,-z,defs", "-lgomp", "-lm", "-ldl"});
  } else {
    FailureOr<std::string> run = findRuntime(options, "libpquant_run.a");
    if (failed(run))
      return failure();
    // GNU ld of AArch64 has no packed relocations, lld has.
    if (llvm::is_contained(command, "-fuse-ld=lld"))
      command.push_back("-Wl,--pack-dyn-relocs=relr");
    // The driver of a GPU is a shared library, which a static program cannot
    // load.
    command.append({options.gpu.empty() ? "-static-pie" : "-pie",
                    "-Wl,--gc-sections", *run, *runtime, "-l:libminizip.a",
                    "-l:libz.a", "-l:libgomp.a", "-lm", "-ldl", "-lpthread"});
  }
  command.append({"-o", output.str()});
  return command;
}

LogicalResult pquant::linkArtifact(const CompilerOptions &options,
                                   ArrayRef<std::string> objects,
                                   StringRef output) {
  FailureOr<std::string> linker = findLinker(options);
  if (failed(linker))
    return failure();
  FailureOr<SmallVector<std::string>> command =
      makeLinkCommand(options, *linker, objects, output);
  if (failed(command))
    return failure();
  SmallVector<StringRef> references(command->begin(), command->end());
  SmallString<128> log;
  if (std::error_code error =
          llvm::sys::fs::createTemporaryFile("pquant-link", "log", log))
    return reportError("cannot make a temporary file: " + error.message());
  std::optional<StringRef> redirects[] = {std::nullopt, StringRef(log),
                                          StringRef(log)};
  std::string message;
  int status = llvm::sys::ExecuteAndWait(*linker, references, std::nullopt,
                                         redirects, 0, 0, &message);
  auto text = llvm::MemoryBuffer::getFile(log);
  llvm::sys::fs::remove(log);
  if (status == 0)
    return success();
  return reportError("linking '" + options.output + "' by " + *linker +
                     " failed" + (message.empty() ? "" : ": " + message) +
                     "\n" + (text ? (*text)->getBuffer().rtrim() : ""));
}

LogicalResult pquant::writeArchive(const CompilerOptions &options,
                                   StringRef object, StringRef output) {
  FailureOr<std::string> runtime = findRuntime(options, "libpquant_rt.a");
  if (failed(runtime))
    return failure();
  std::vector<llvm::NewArchiveMember> members;
  auto model = llvm::NewArchiveMember::getFile(object, /*Deterministic=*/true);
  if (!model)
    return reportError(llvm::toString(model.takeError()));
  model->MemberName = "model.o";
  members.push_back(std::move(*model));

  auto buffer = llvm::MemoryBuffer::getFile(*runtime);
  if (!buffer)
    return reportError("cannot read '" + *runtime + "'");
  auto archive = llvm::object::Archive::create((*buffer)->getMemBufferRef());
  if (!archive)
    return reportError(llvm::toString(archive.takeError()));
  llvm::Error error = llvm::Error::success();
  for (const llvm::object::Archive::Child &child :
       (*archive)->children(error)) {
    auto member = llvm::NewArchiveMember::getOldMember(child, true);
    if (!member)
      return reportError(llvm::toString(member.takeError()));
    members.push_back(std::move(*member));
  }
  if (error)
    return reportError(llvm::toString(std::move(error)));
  if (llvm::Error failed = llvm::writeArchive(
          output, members, llvm::SymtabWritingMode::NormalSymtab,
          llvm::object::Archive::K_GNU, /*Deterministic=*/true, /*Thin=*/false))
    return reportError(llvm::toString(std::move(failed)));
  return success();
}

static void describeTensor(raw_ostream &os, StringRef kind, size_t number,
                           const TensorInterface &tensor) {
  static constexpr StringLiteral names[] = {
      "float32", "float64", "float16", "bfloat16", "int8",   "int16", "int32",
      "int64",   "uint8",   "uint16",  "uint32",   "uint64", "bool"};
  os << "//   " << kind << " " << number << ": " << tensor.name << " "
     << names[tensor.dtype] << " [";
  for (auto [i, size] : llvm::enumerate(tensor.sizes)) {
    os << (i ? ", " : "");
    if (size >= 0)
      os << size;
    else
      os << (tensor.sizeNames[i].empty() ? "?" : tensor.sizeNames[i]);
  }
  os << "]\n";
}

void pquant::writeHeader(const CompilerOptions &options,
                         const ModelInterface &model, raw_ostream &os) {
  std::string guard = StringRef(options.symbolPrefix).upper() + "_MODEL_H";
  os << "// The model '" << model.name << "', compiled by pquant.\n//\n"
     << "// Open it by pquant_open(" << options.symbolPrefix
     << "_model_descriptor(), ...) of pquant/Runtime/Runtime.h,\n"
     << "// and link with -lgomp -lm -ldl.\n//\n";
  for (const EntryInterface &entry : model.entries) {
    os << "// Entry point " << entry.name << ":\n";
    for (auto [i, tensor] : llvm::enumerate(entry.inputs))
      describeTensor(os, "input", i, tensor);
    for (auto [i, tensor] : llvm::enumerate(entry.outputs))
      describeTensor(os, "output", i, tensor);
  }
  os << "\n#ifndef " << guard << "\n#define " << guard << "\n\n"
     << "#include \"pquant/Runtime/Runtime.h\"\n\n"
     << "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n"
     << "const PQuantModelDescriptor *" << options.symbolPrefix
     << "_model_descriptor(void);\n\n"
     << "#ifdef __cplusplus\n}\n#endif\n\n#endif // " << guard << "\n";
}
