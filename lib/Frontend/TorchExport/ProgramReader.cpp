//===- ProgramReader.cpp - Archives of torch.export -----------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The layout since torch 2.9: models/<name>.json is the program, the bytes of
// its tensors are entries of their own, described by data/weights/
// <name>_weights_config.json and data/constants/<name>_constants_config.json.
// Several tensors may be views of one storage.
//
//===----------------------------------------------------------------------===//

#include "Archive.h"
#include "GraphReader.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;
using namespace pquant;
using namespace pquant::pt2;

/// The only version of the schema that means what is read here.
static constexpr int64_t schemaMajor = 8;

int64_t pt2::getElementSize(ScalarType type) {
  switch (type) {
  case ScalarType::Byte:
  case ScalarType::Char:
  case ScalarType::Bool:
    return 1;
  case ScalarType::Short:
  case ScalarType::UInt16:
  case ScalarType::Half:
  case ScalarType::BFloat16:
    return 2;
  case ScalarType::Int:
  case ScalarType::Float:
    return 4;
  case ScalarType::Long:
  case ScalarType::Double:
    return 8;
  case ScalarType::Unknown:
    break;
  }
  return 0;
}

std::string pt2::getScalarTypeName(ScalarType type) {
  static const std::pair<ScalarType, StringLiteral> names[] = {
      {ScalarType::Byte, "uint8"},    {ScalarType::Char, "int8"},
      {ScalarType::Short, "int16"},   {ScalarType::Int, "int32"},
      {ScalarType::Long, "int64"},    {ScalarType::Half, "float16"},
      {ScalarType::Float, "float32"}, {ScalarType::Double, "float64"},
      {ScalarType::Bool, "bool"},     {ScalarType::BFloat16, "bfloat16"},
      {ScalarType::UInt16, "uint16"},
  };
  for (const auto &[known, name] : names)
    if (known == type)
      return name.str();
  return "number " + std::to_string(static_cast<int64_t>(type));
}

//===----------------------------------------------------------------------===//
// Signature
//===----------------------------------------------------------------------===//

static InputSpec readInputSpec(const JSONCursor &json) {
  auto [kind, spec] = json.alternative();
  InputSpec result;
  static const std::tuple<StringLiteral, InputSpec::Kind, StringLiteral>
      tensors[] = {
          {"parameter", InputSpec::Parameter, "parameter_name"},
          {"buffer", InputSpec::Buffer, "buffer_name"},
          {"tensor_constant", InputSpec::Constant, "tensor_constant_name"},
      };
  for (const auto &[name, inputKind, target] : tensors)
    if (kind == name) {
      result.kind = inputKind;
      result.name = spec["arg"]["name"].getString();
      result.target = spec[target].getString();
      return result;
    }
  if (kind == "user_input") {
    result.value = readSingleArgument(spec["arg"]);
    if (result.value.kind == ArgumentItem::Value)
      result.name = result.value.text;
    else
      result.kind = InputSpec::Fixed;
    return result;
  }
  if (kind == "constant_input") {
    result.kind = InputSpec::Fixed;
    result.name = spec["name"].getString();
    result.value = readSingleArgument(spec["value"]);
    return result;
  }
  json.fail("inputs of kind '" + kind + "' are not supported");
  return result;
}

static OutputSpec readOutputSpec(const JSONCursor &json) {
  auto [kind, spec] = json.alternative();
  OutputSpec result;
  if (kind == "user_output") {
    result.value = readSingleArgument(spec["arg"]);
    return result;
  }
  bool isBuffer = kind == "buffer_mutation";
  if (!isBuffer && kind != "user_input_mutation") {
    json.fail("outputs of kind '" + kind + "' are not supported");
    return result;
  }
  result.kind =
      isBuffer ? OutputSpec::BufferMutation : OutputSpec::InputMutation;
  result.value.kind = ArgumentItem::Value;
  result.value.text = spec["arg"]["name"].getString();
  result.target =
      spec[isBuffer ? "buffer_name" : "user_input_name"].getString();
  return result;
}

/// The texts of a JSON array; none when this is something else.
static std::vector<std::string> readKeys(StringRef text) {
  std::vector<std::string> keys;
  Expected<json::Value> value = parseJSON("context", text);
  if (!value) {
    consumeError(value.takeError());
    return keys;
  }
  if (const json::Array *array = value->getAsArray())
    for (const json::Value &key : *array)
      keys.push_back(key.getAsString().value_or("").str());
  return keys;
}

/// Appends a name for each leaf of a tree of results. Keys are the context of a
/// node where they are as many as its children.
static void nameLeaves(const JSONCursor &tree, const std::string &prefix,
                       std::vector<std::string> &names) {
  std::vector<JSONCursor> children = tree["children_spec"].elements();
  bool isLeaf = !tree.find("type");
  if (isLeaf)
    names.push_back(prefix);
  std::vector<std::string> keys;
  if (std::optional<JSONCursor> context = tree.find("context"))
    keys = readKeys(context->getString());
  for (size_t i = 0; i < children.size(); ++i) {
    std::string key = keys.size() == children.size() ? keys[i] : "";
    if (key.empty())
      key = std::to_string(i);
    nameLeaves(children[i], prefix.empty() ? key : prefix + "." + key, names);
  }
}

/// The names that the module's results have where it returns a dictionary or a
/// record; none where it returns a tensor or a tuple, or the text is not known.
static std::vector<std::string> readOutputNames(const JSONCursor &json) {
  std::vector<std::string> names;
  std::vector<JSONCursor> calls = json["module_call_graph"].elements();
  if (calls.empty())
    return names;
  std::optional<JSONCursor> signature = calls.front().find("signature");
  std::optional<JSONCursor> text =
      signature ? signature->find("out_spec") : std::nullopt;
  if (!text)
    return names;
  Expected<json::Value> tree = parseJSON("out_spec", text->getString());
  if (!tree) {
    consumeError(tree.takeError());
    return names;
  }
  std::string error;
  std::vector<JSONCursor> parts =
      JSONCursor(&*tree, "out_spec", error).elements();
  if (parts.size() == 2)
    nameLeaves(parts[1], "", names);
  StringSet<> distinct;
  bool areNames = error.empty();
  for (const std::string &name : names)
    areNames &=
        !name.empty() && !isDigit(name.front()) && distinct.insert(name).second;
  return areNames ? names : std::vector<std::string>();
}

/// Whether inputs and outputs are those of the graph, in order.
static void checkSignature(const Program &program, const JSONCursor &json) {
  const Graph &graph = program.graph;
  if (json.hasFailed())
    return;
  if (program.inputs.size() != graph.inputs.size() ||
      program.outputs.size() != graph.outputs.size())
    return json.fail(
        "expected " + Twine(graph.inputs.size()) + " inputs and " +
        Twine(graph.outputs.size()) + " outputs, as the graph has, but got " +
        Twine(program.inputs.size()) + " and " + Twine(program.outputs.size()));
  for (size_t i = 0; i < graph.inputs.size(); ++i)
    if (program.inputs[i].kind != InputSpec::Fixed &&
        program.inputs[i].name != graph.inputs[i])
      return json.fail("expected input '" + graph.inputs[i] + "', but got '" +
                       program.inputs[i].name + "'");
  for (size_t i = 0; i < graph.outputs.size(); ++i)
    if (program.outputs[i].value.text != graph.outputs[i].text)
      return json.fail("expected output '" + graph.outputs[i].text +
                       "', but got '" + program.outputs[i].value.text + "'");
}

//===----------------------------------------------------------------------===//
// Stored tensors
//===----------------------------------------------------------------------===//

/// Whether every element that the tensor names lies in its storage.
static Error checkStorage(const StoredTensor &tensor, const Twine &what) {
  const TensorMeta &meta = tensor.meta;
  int64_t size = getElementSize(meta.type);
  if (!size)
    return createStringError(what + ": element type " +
                             getScalarTypeName(meta.type) +
                             " is not supported");
  bool isEmpty = false, overflows = false;
  int64_t last = meta.offset.number, count = 1;
  auto isNumber = [](const SymbolicExpr &expr) {
    return expr.kind == SymbolicExpr::Number && expr.number >= 0;
  };
  if (!isNumber(meta.offset) || !all_of(meta.sizes, isNumber) ||
      !all_of(meta.strides, isNumber))
    return createStringError(what + ": expected sizes, strides and an offset "
                                    "that are numbers of at least 0");
  for (size_t i = 0; i < meta.sizes.size(); ++i) {
    int64_t extent = meta.sizes[i].number, distance;
    isEmpty |= extent == 0;
    overflows |= MulOverflow(count, std::max<int64_t>(extent, 1), count);
    overflows |= MulOverflow(std::max<int64_t>(extent, 1) - 1,
                             meta.strides[i].number, distance);
    overflows |= AddOverflow(last, distance, last);
  }
  if (overflows ||
      (!isEmpty && last >= static_cast<int64_t>(tensor.storage.size() / size)))
    return createStringError(what + ": its elements lie beyond the " +
                             Twine(tensor.storage.size()) + " bytes of '" +
                             tensor.path + "'");
  return Error::success();
}

/// Reads one of the two tables of tensors in the archive.
static Error readStored(Archive &archive, StringRef folder, StringRef config,
                        Program &program) {
  Expected<StringRef> text = archive.read(config);
  if (!text)
    return text.takeError();
  Expected<json::Value> value = parseJSON(config, *text);
  if (!value)
    return value.takeError();
  std::string error;
  JSONCursor json(&*value, config.str(), error);
  for (const auto &[name, payload] : json["config"].members()) {
    // Only objects that the graph cannot use as tensors are pickled.
    if (payload["use_pickle"].getBool() || !payload.find("tensor_meta"))
      continue;
    StoredTensor tensor;
    tensor.meta = readTensorMeta(payload["tensor_meta"]);
    tensor.path = (folder + payload["path_name"].getString()).str();
    if (json.hasFailed())
      break;
    Expected<StringRef> storage = archive.read(tensor.path);
    if (!storage)
      return storage.takeError();
    tensor.storage = *storage;
    if (Error invalid = checkStorage(tensor, "tensor '" + name + "'"))
      return invalid;
    program.stored.try_emplace(name, std::move(tensor));
  }
  if (!error.empty())
    return createStringError(error);
  return Error::success();
}

static Error readAllStored(Archive &archive, Program &program) {
  std::string weights = "data/weights/" + program.name;
  std::string constants = "data/constants/" + program.name;
  if (!archive.contains(weights + "_weights_config.json") &&
      archive.contains(weights + ".pt"))
    return createStringError(
        "the archive has the layout of torch 2.8; load it with "
        "torch.export.load and save it again with torch 2.9 or later");
  if (Error error = readStored(archive, "data/weights/",
                               weights + "_weights_config.json", program))
    return error;
  if (archive.contains(constants + "_constants_config.json"))
    if (Error error = readStored(archive, "data/constants/",
                                 constants + "_constants_config.json", program))
      return error;
  for (const InputSpec &input : program.inputs)
    if (!input.target.empty() && !program.stored.contains(input.target))
      return createStringError("the archive does not hold tensor '" +
                               input.target + "', which is input '" +
                               input.name + "' of the graph");
  return Error::success();
}

//===----------------------------------------------------------------------===//
// The program
//===----------------------------------------------------------------------===//

static Error readProgram(StringRef path, StringRef text, Program &program) {
  Expected<json::Value> value = parseJSON(path, text);
  if (!value)
    return value.takeError();
  std::string error;
  JSONCursor json(&*value, path.str(), error);
  int64_t major = json["schema_version"]["major"].getInt();
  if (error.empty() && major != schemaMajor)
    return createStringError(
        "expected schema version " + Twine(schemaMajor) +
        " of torch.export, but got " + Twine(major) +
        "; save the program again with torch 2.9 or later");
  JSONCursor module = json["graph_module"];
  program.graph = readGraph(module["graph"]);
  JSONCursor signature = module["signature"];
  for (const JSONCursor &spec : signature["input_specs"].elements())
    program.inputs.push_back(readInputSpec(spec));
  for (const JSONCursor &spec : signature["output_specs"].elements())
    program.outputs.push_back(readOutputSpec(spec));
  checkSignature(program, signature);
  for (const auto &[name, range] : json["range_constraints"].members()) {
    SymbolRange &bounds = program.ranges[name];
    if (std::optional<JSONCursor> min = range.find("min_val"))
      bounds.min = min->getInt();
    if (std::optional<JSONCursor> max = range.find("max_val"))
      bounds.max = max->getInt();
  }
  program.outputNames = readOutputNames(module);
  if (!error.empty())
    return createStringError(error);
  return Error::success();
}

/// The one program of the archive.
static Expected<StringRef> findProgram(Archive &archive) {
  std::vector<StringRef> models = archive.list("models/");
  llvm::erase_if(models,
                 [](StringRef path) { return !path.ends_with(".json"); });
  if (models.size() == 1)
    return models.front();
  if (models.empty() && !archive.list("data/aotinductor/").empty())
    return createStringError(
        "the archive holds code that AOTInductor compiled, and no graph; "
        "expected one of torch.export.save");
  std::string names;
  for (StringRef model : models)
    names += (names.empty() ? " (" : ", ") + model.str();
  return createStringError("expected one exported program, but got " +
                           Twine(models.size()) +
                           (names.empty() ? "" : names + ")"));
}

static Error checkEntry(Archive &archive, StringRef path, StringRef expected,
                        bool isRequired) {
  if (!isRequired && !archive.contains(path))
    return Error::success();
  Expected<StringRef> contents = archive.read(path);
  if (!contents)
    return contents.takeError();
  if (contents->trim() == expected)
    return Error::success();
  return createStringError("expected '" + expected + "' as " + path +
                           ", but got '" + contents->take_front(40) + "'");
}

ProgramOrError pt2::readTorchExport(StringRef bytes,
                                    std::shared_ptr<const void> owner) {
  Expected<Archive> archive = Archive::open(bytes, owner);
  if (!archive)
    return archive.takeError();
  if (Error error = checkEntry(*archive, "archive_format", "pt2", true))
    return std::move(error);
  if (Error error = checkEntry(*archive, "archive_version", "0", false))
    return std::move(error);
  if (Error error = checkEntry(*archive, "byteorder", "little", false))
    return std::move(error);
  Expected<StringRef> path = findProgram(*archive);
  if (!path)
    return path.takeError();
  Expected<StringRef> text = archive->read(*path);
  if (!text)
    return text.takeError();
  auto program = std::make_unique<Program>();
  program->owner = std::move(owner);
  StringRef name = path->rsplit('/').second;
  program->name = name.drop_back(StringRef(".json").size()).str();
  if (Error error = readProgram(*path, *text, *program))
    return std::move(error);
  if (Error error = readAllStored(*archive, *program))
    return std::move(error);
  return std::move(program);
}

ProgramOrError pt2::readTorchExportFile(StringRef path) {
  auto fail = [](std::error_code code) {
    return createStringError("cannot open the file: " + code.message());
  };
  sys::fs::file_status status;
  if (std::error_code code = sys::fs::status(path, status))
    return fail(code);
  if (sys::fs::is_directory(status))
    return createStringError("expected a file, but got a directory");
  Expected<sys::fs::file_t> file = sys::fs::openNativeFileForRead(path);
  if (!file)
    return fail(errorToErrorCode(file.takeError()));
  std::error_code code;
  std::shared_ptr<sys::fs::mapped_file_region> region;
  // An empty file cannot be mapped.
  if (status.getSize() > 0)
    region = std::make_shared<sys::fs::mapped_file_region>(
        *file, sys::fs::mapped_file_region::readonly, status.getSize(), 0,
        code);
  sys::fs::closeFile(*file);
  if (code)
    return fail(code);
  StringRef bytes;
  if (region)
    bytes = StringRef(region->const_data(), region->size());
  ProgramOrError program = readTorchExport(bytes, region);
  if (program)
    (*program)->isMapped = true;
  return program;
}
