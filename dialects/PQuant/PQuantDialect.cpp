//===- PQuantDialect.cpp - Registration and attributes --------------------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Registers the pquant dialect and defines its attributes: syntax and checks
// of the quantiser, sizes of the storage layouts, levels of a target.
//
//===----------------------------------------------------------------------===//

#include "dialects/PQuant/PQuantDialect.h"
#include "pquant/Layout/B16x256.h"
#include "pquant/Layout/D16.h"
#include "pquant/Layout/F32x16.h"
#include "pquant/Layout/I8x16x4.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/Format.h"

using namespace mlir;
using namespace pquant;

#include "dialects/PQuant/PQuantAttrInterfaces.cpp.inc"
#include "dialects/PQuant/PQuantDialect.cpp.inc"
#include "dialects/PQuant/PQuantEnums.cpp.inc"
#include "dialects/PQuant/PQuantOpInterfaces.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/PQuant/PQuantAttrs.cpp.inc"

void PQuantDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/PQuant/PQuantAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/PQuant/PQuantOps.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// QuantizerAttr
//===----------------------------------------------------------------------===//

static constexpr int64_t kDefaultQMin = -128;
static constexpr int64_t kDefaultQMax = 127;

/// Parses `keyword` or fails at the current token with the choices.
template <typename Enum>
static FailureOr<Enum> parseEnum(AsmParser &parser, StringRef what,
                                 StringRef choices,
                                 std::optional<Enum> (*symbolize)(StringRef)) {
  StringRef keyword;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseKeyword(&keyword))
    return failure();
  if (std::optional<Enum> value = symbolize(keyword))
    return *value;
  return parser.emitError(loc) << "expected " << what << " (" << choices
                               << "), but got '" << keyword << "'";
}

/// quantizer ::= `<` formula `,` `eps` `=` float (`,` `guard` `=` guard)?
///               (`,` `range` `=` `[` int `,` int `]`)? `>`
Attribute QuantizerAttr::parse(AsmParser &parser, Type) {
  llvm::APFloat eps(llvm::APFloat::IEEEsingle());
  Guard guard = Guard::Max;
  int64_t qmin = kDefaultQMin, qmax = kDefaultQMax;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess())
    return {};
  FailureOr<Formula> formula =
      parseEnum<Formula>(parser, "a quantiser formula",
                         "mul_recip, mul_div or div", symbolizeFormula);
  if (failed(formula) || parser.parseComma() || parser.parseKeyword("eps") ||
      parser.parseEqual() ||
      parser.parseFloat(llvm::APFloat::IEEEsingle(), eps))
    return {};
  bool more = succeeded(parser.parseOptionalComma());
  if (more && succeeded(parser.parseOptionalKeyword("guard"))) {
    if (parser.parseEqual())
      return {};
    FailureOr<Guard> parsed = parseEnum<Guard>(parser, "a quantiser guard",
                                               "max or add", symbolizeGuard);
    if (failed(parsed))
      return {};
    guard = *parsed;
    more = succeeded(parser.parseOptionalComma());
  }
  if (more && (parser.parseKeyword("range") || parser.parseEqual() ||
               parser.parseLSquare() || parser.parseInteger(qmin) ||
               parser.parseComma() || parser.parseInteger(qmax) ||
               parser.parseRSquare()))
    return {};
  if (parser.parseGreater())
    return {};
  return QuantizerAttr::getChecked([&] { return parser.emitError(loc); },
                                   parser.getContext(), *formula, eps, guard,
                                   qmin, qmax);
}

/// Prints the shortest decimal that reads back as the same float32.
static void printShortest(raw_ostream &os, const llvm::APFloat &value) {
  for (int precision = 1; precision <= 8; ++precision) {
    SmallString<32> text;
    llvm::raw_svector_ostream(text)
        << llvm::format("%.*e", precision, double(value.convertToFloat()));
    if (precision == 8 ||
        llvm::APFloat(value.getSemantics(), text).bitwiseIsEqual(value)) {
      os << text;
      return;
    }
  }
}

void QuantizerAttr::print(AsmPrinter &printer) const {
  printer << "<" << stringifyFormula(getFormula()) << ", eps = ";
  printShortest(printer.getStream(), getEps());
  if (getGuard() != Guard::Max)
    printer << ", guard = " << stringifyGuard(getGuard());
  if (getQmin() != kDefaultQMin || getQmax() != kDefaultQMax)
    printer << ", range = [" << getQmin() << ", " << getQmax() << "]";
  printer << ">";
}

LogicalResult
QuantizerAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                      Formula formula, llvm::APFloat eps, Guard guard,
                      int64_t qmin, int64_t qmax) {
  if (&eps.getSemantics() != &llvm::APFloat::IEEEsingle())
    return emitError() << "expected eps in float32";
  if (!eps.isFinite() || (eps.isNegative() && !eps.isZero())) {
    llvm::SmallString<16> text;
    eps.toString(text);
    return emitError() << "expected eps to be finite and at least 0, but got "
                       << text;
  }
  if (qmin < kDefaultQMin || qmin > 0 || qmax < 1 || qmax > kDefaultQMax)
    return emitError()
           << "expected range within [-128, 127] around 0, but got [" << qmin
           << ", " << qmax << "]";
  return success();
}

//===----------------------------------------------------------------------===//
// LayoutAttr
//===----------------------------------------------------------------------===//

bool pquant::holdsBits(LayoutKind kind) {
  return kind == LayoutKind::D16 || kind == LayoutKind::I1x16x8 ||
         kind == LayoutKind::B16x256;
}

LogicalResult
LayoutAttr::verifyEncoding(ArrayRef<int64_t> shape, Type elementType,
                           function_ref<InFlightDiagnostic()> emitError) const {
  if (shape.size() != 2 && shape.size() != 3)
    return emitError() << "expected a matrix or a stack of matrices (rank 2 or "
                          "3) with a layout, but got rank "
                       << shape.size();
  for (int64_t size : shape)
    if (ShapedType::isDynamic(size))
      return emitError() << "expected a static shape with a layout";
  Type expected;
  MLIRContext *context = getContext();
  switch (getKind()) {
  case LayoutKind::B16x256:
  case LayoutKind::D16:
  case LayoutKind::I1x16x8:
    expected = IntegerType::get(context, 1);
    break;
  case LayoutKind::I8x16x4:
    expected = IntegerType::get(context, 8);
    break;
  case LayoutKind::F32x16:
  case LayoutKind::BF16x16:
    expected = Float32Type::get(context);
    break;
  }
  if (elementType != expected)
    return emitError() << "expected elements of " << expected << " in layout "
                       << stringifyLayoutKind(getKind()) << ", but got "
                       << elementType;
  return success();
}

int64_t LayoutAttr::getStorageBytes(ArrayRef<int64_t> shape) const {
  size_t rows = shape[shape.size() - 2], columns = shape.back();
  int64_t matrices = shape.size() == 3 ? shape.front() : 1;
  switch (getKind()) {
  case LayoutKind::B16x256:
    return matrices * layout::b16x256Bytes(rows, columns);
  case LayoutKind::D16:
  case LayoutKind::I1x16x8: // the same bytes in another order
    return matrices * layout::d16Bytes(rows, columns);
  case LayoutKind::I8x16x4:
    return matrices * layout::i8x16x4Bytes(rows, columns);
  case LayoutKind::F32x16:
    return matrices * layout::f32x16Elements(rows, columns) * sizeof(float);
  case LayoutKind::BF16x16:
    return matrices * layout::f32x16Elements(rows, columns) * sizeof(uint16_t);
  }
  llvm_unreachable("unknown layout kind");
}

RankedTensorType LayoutAttr::getStorageType(ArrayRef<int64_t> shape) const {
  Type element = IntegerType::get(getContext(), 8);
  if (getKind() == LayoutKind::F32x16)
    element = Float32Type::get(getContext());
  if (getKind() == LayoutKind::BF16x16)
    element = IntegerType::get(getContext(), 16);
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  return RankedTensorType::get({getStorageBytes(shape) / bytes}, element);
}

//===----------------------------------------------------------------------===//
// TargetAttr, LevelAttr
//===----------------------------------------------------------------------===//

bool LevelAttr::hasFeature(StringRef feature) const {
  for (StringRef name : llvm::split(getRequirements(), ','))
    if (name == feature)
      return true;
  for (StringRef name : llvm::split(getFeatures(), ','))
    if (name.consume_front("+") && name == feature)
      return true;
  return false;
}

bool LevelAttr::servesFor(LevelAttr other) const {
  if (getCpu() != other.getCpu() || getVectorBits() != other.getVectorBits())
    return false;
  return llvm::all_of(llvm::split(getFeatures(), ','), [&](StringRef feature) {
    return !feature.consume_front("+") || other.hasFeature(feature);
  });
}

bool LevelAttr::hasFusedMultiplyAdd() const {
  return hasFeature("fma") || hasFeature("neon");
}

void LevelAttr::assignTo(Operation *function) const {
  Builder builder(getContext());
  SmallVector<Attribute> entries;
  auto add = [&](StringRef key, StringRef value) {
    entries.push_back(builder.getStrArrayAttr({key, value}));
  };
  std::string bits = std::to_string(getVectorBits());
  add("target-cpu", getCpu());
  if (!getFeatures().empty())
    add("target-features", getFeatures());
  if (!getTune().empty())
    add("tune-cpu", getTune());
  add("prefer-vector-width", bits);
  add("min-legal-vector-width", bits);
  function->setAttr("passthrough", builder.getArrayAttr(entries));
  function->setAttr(kLevelAttrName, *this);
}

LayoutKind TargetAttr::chooseBinaryLayout(int64_t, int64_t) const {
  return getBinaryLayout();
}
LayoutKind TargetAttr::chooseInt8Layout(int64_t, int64_t) const {
  return LayoutKind::I8x16x4;
}
LayoutKind TargetAttr::chooseFloatLayout(int64_t, int64_t) const {
  return LayoutKind::F32x16;
}

SmallVector<ArrayRef<LevelAttr>> TargetAttr::getRuns() const {
  SmallVector<ArrayRef<LevelAttr>> runs;
  ArrayRef<LevelAttr> rest = getLevels();
  while (!rest.empty()) {
    ArrayRef<LevelAttr> run = rest.take_while(
        [&](LevelAttr level) { return rest.front().servesFor(level); });
    runs.push_back(run);
    rest = rest.drop_front(run.size());
  }
  return runs;
}

bool GPUAttr::hasCapability(StringRef capability) const {
  return llvm::is_contained(llvm::split(getCapabilities(), ','), capability);
}

LogicalResult TargetAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 StringRef triple, ArrayRef<LevelAttr> levels,
                                 LayoutKind binaryLayout, GPUAttr) {
  if (triple.empty())
    return emitError() << "expected a target triple, but got an empty string";
  if (levels.empty())
    return emitError() << "expected at least one instruction-set level";
  for (auto [i, level] : llvm::enumerate(levels))
    for (LevelAttr earlier : levels.take_front(i))
      if (earlier.getName() == level.getName())
        return emitError() << "expected distinct level names, but got '"
                           << level.getName() << "' twice";
  if (!holdsBits(binaryLayout))
    return emitError() << "expected a layout of 1-bit matrices, but got "
                       << stringifyLayoutKind(binaryLayout);
  return success();
}
