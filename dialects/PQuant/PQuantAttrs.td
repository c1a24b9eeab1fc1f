//===- PQuantAttrs.td - Attributes of the pquant dialect ---*- tablegen -*-===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PQUANT_DIALECTS_PQUANT_ATTRS_TD
#define PQUANT_DIALECTS_PQUANT_ATTRS_TD

include "dialects/PQuant/PQuantBase.td"
include "dialects/PQuant/PQuantInterfaces.td"
include "mlir/IR/TensorEncoding.td"

class PQuant_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<PQuant_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

//===----------------------------------------------------------------------===//
// Quantiser
//===----------------------------------------------------------------------===//

def PQuant_Formula : I32Enum<"Formula", "the arithmetic that feeds the rounding of an AbsMax quantiser", [
    I32EnumCase<"MulRecip", 0, "mul_recip">,
    I32EnumCase<"MulDiv", 1, "mul_div">,
    I32EnumCase<"Div", 2, "div">]> {
  let cppNamespace = "::pquant";
}

def PQuant_Guard : I32Enum<"Guard", "how an AbsMax quantiser keeps away from a division by zero", [
    I32EnumCase<"Max", 0, "max">,
    I32EnumCase<"Add", 1, "add">]> {
  let cppNamespace = "::pquant";
}

def PQuant_QuantizerAttr : PQuant_Attr<"Quantizer", "quantizer"> {
  let summary = "AbsMax quantisation of rows to INT8, exact in float32";
  let description = [{
    Every operation below is one correctly rounded float32 operation, in this order, so that the integers are those of
    the framework that trained the model:

    ```
    a = max_k |x[k]|                                  (NaN propagates)
    m = guard == max ? max(a, eps) : a + eps
    mul_recip:  g = (1 / m) * qmax;  v[k] = x[k] * g;  step = 1 / g
    mul_div:    g = qmax / m;        v[k] = x[k] * g;  step = 1 / g
    div:        d = m / qmax;        v[k] = x[k] / d;  step = d
    q[k] = clamp(roundeven(v[k]), qmin, qmax)
    ```

    `step` is the dequantisation step: `x[k]` is about `q[k] * step`. The default is `eps = 1e-5`, `guard = max`,
    `qmin = -128`, `qmax = 127` (pQuant, arXiv 2602.22592, AbsMax).

    Example: `#pquant.quantizer<mul_recip, eps = 1.000000e-05>`
  }];
  let parameters = (ins
    EnumParameter<PQuant_Formula>:$formula,
    APFloatParameter<"float32 guard against a maximum of zero">:$eps,
    DefaultValuedParameter<"::pquant::Guard", "::pquant::Guard::Max">:$guard,
    DefaultValuedParameter<"int64_t", "-128">:$qmin,
    DefaultValuedParameter<"int64_t", "127">:$qmax);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

//===----------------------------------------------------------------------===//
// Storage layout
//===----------------------------------------------------------------------===//

def PQuant_LayoutKind : I32Enum<"LayoutKind", "storage layouts of weight matrices (docs/Layout.md)", [
    I32EnumCase<"D16", 0, "d16">,
    I32EnumCase<"I8x16x4", 1, "i8x16x4">,
    I32EnumCase<"F32x16", 2, "f32x16">,
    I32EnumCase<"I1x16x8", 3, "i1x16x8">,
    I32EnumCase<"B16x256", 4, "b16x256">,
    I32EnumCase<"BF16x16", 5, "bf16x16">]> {
  let cppNamespace = "::pquant";
}

def PQuant_LayoutAttr : PQuant_Attr<"Layout", "layout",
    [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let summary = "the physical layout of a weight matrix, as the encoding of its tensor type";
  let description = [{
    A tensor of type `tensor<NxKxi1, #pquant.layout<d16>>` has the values of a plain `tensor<NxKxi1>`; its bytes in memory
    follow the layout. `docs/Layout.md` is the specification, `pquant/Layout/` the implementation. N' is N padded to a
    multiple of 16, K' is K padded to a multiple of 64; padding is 0.

    - `d16` (i1): `[N'/16][K'/32][16]` little-endian 32-bit words; bit b of word r of block (i, j) is
      `W[16i + r][32j + b]`.

      ```
      word:     r=0            r=1                 r=15
      block  |W[16i][32j..]|W[16i+1][32j..]| ... |W[16i+15][32j..]|   64 bytes, next block: j + 1
      ```

    - `i1x16x8` (i1): `[N'/16][K'/8][16]` bytes; bit b of byte r of block (i, j) is `W[16i + r][8j + b]`. Each 64 bytes hold
      the 16 rows and 32 columns of a `d16` block, as a 4 x 16 matrix of bytes where `d16` has 16 x 4.
    - `b16x256` (i1): `[N'/16][K''/256][32][4]` little-endian 32-bit words, K'' being K padded to a multiple of 256; word w
      of lane l of tile (i, j) is row `16i + l / 4 + 8 (w % 2)`, columns from `256j + 32 (l % 4) + 128 (w / 2)` on: what
      lane l of a warp gives to a 16 x 256 matrix instruction.
    - `i8x16x4` (i8): `[N'/16][K'/4][16][4]` bytes; byte (r, c) of block (i, j) is `W[16i + r][4j + c]`.
    - `f32x16` (f32): `[N'/16][K][16]` floats, columns not padded; lane r of (i, k) is `W[16i + r][k]`.
    - `bf16x16` (f32, each of them a bfloat16): the upper halves of the floats of `f32x16`.

    A stack of E matrices (rank 3) is E such matrices one after another.
  }];
  let parameters = (ins EnumParameter<PQuant_LayoutKind>:$kind);
  let assemblyFormat = "`<` $kind `>`";
  let extraClassDeclaration = [{
    /// Bytes that a matrix (or stack of matrices) of this static shape takes.
    int64_t getStorageBytes(::llvm::ArrayRef<int64_t> shape) const;
    /// The tensor type of the raw bytes: `tensor<bytes x i8>`, f32 elements for `f32x16`, i16 for `bf16x16`.
    ::mlir::RankedTensorType getStorageType(::llvm::ArrayRef<int64_t> shape) const;
  }];
}

//===----------------------------------------------------------------------===//
// Target
//===----------------------------------------------------------------------===//

def PQuant_LevelAttr : PQuant_Attr<"Level", "level"> {
  let summary = "one instruction-set level of a target";
  let description = [{
    `name` is what the user sees and what suffixes symbols; `cpu` and `features` (comma-separated, each with `+` or `-`)
    are given to LLVM for every function of this level; `requires` is the list of LLVM feature names without `+` that the
    runtime looks for; `vector_bits` is the preferred vector width; `tune` names the CPU whose pipelines code is scheduled
    for, `cpu` where it is left out.

    Example: `#pquant.level<"avx2", cpu = "x86-64-v3", features = "", requires = "avx2,fma,f16c,bmi2", vector_bits = 256>`
  }];
  let parameters = (ins
    StringRefParameter<>:$name,
    StringRefParameter<>:$cpu,
    StringRefParameter<>:$features,
    StringRefParameter<>:$requirements,
    "int64_t":$vectorBits,
    StringRefParameter<"", "\"\"">:$tune);
  let builders = [AttrBuilder<(ins "::llvm::StringRef":$name, "::llvm::StringRef":$cpu, "::llvm::StringRef":$features,
                                   "::llvm::StringRef":$requirements, "int64_t":$vectorBits), [{
    return $_get($_ctxt, name, cpu, features, requirements, vectorBits, /*tune=*/"");
  }]>];
  let assemblyFormat = [{
    `<` $name `,` `cpu` `=` $cpu `,` `features` `=` $features `,` `requires` `=` $requirements `,`
        `vector_bits` `=` $vectorBits (`,` `tune` `=` $tune^)? `>`
  }];
  let extraClassDeclaration = [{
    /// Whether the level has a feature, by its LLVM name ("avx512vnni").
    bool hasFeature(::llvm::StringRef feature) const;
    /// Whether code of this level runs at `other`, as wide and as fast as other's code but for what kernels use.
    bool servesFor(::pquant::LevelAttr other) const;
    /// Whether a * b + c with one rounding is one instruction.
    bool hasFusedMultiplyAdd() const;
    /// Makes a function code of this level: sets `pquant.level`, and for LLVM its CPU, features and vector width.
    void assignTo(::mlir::Operation *function) const;
  }];
}

def PQuant_GPUAttr : PQuant_Attr<"GPU", "gpu"> {
  let summary = "the GPU that runs a model's kernels";
  let description = [{
    The LLVM triple, chip and features that kernels are compiled for, and what kernels may use beyond the least GPU of
    the triple (comma-separated; the target's kernel table names them).

    Example: `#pquant.gpu<"nvptx64-nvidia-cuda", chip = "sm_90", features = "+ptx80", capabilities = "b1-mma,s8-mma">`
  }];
  let parameters = (ins
    StringRefParameter<>:$triple,
    StringRefParameter<>:$chip,
    StringRefParameter<>:$features,
    StringRefParameter<>:$capabilities);
  let assemblyFormat = [{
    `<` $triple `,` `chip` `=` $chip `,` `features` `=` $features `,` `capabilities` `=` $capabilities `>`
  }];
  let extraClassDeclaration = [{
    /// Whether kernels may use `capability`.
    bool hasCapability(::llvm::StringRef capability) const;
  }];
}

def PQuant_TargetAttr : PQuant_Attr<"Target", "target",
    [DeclareAttrInterfaceMethods<PQuant_LayoutChooserInterface>]> {
  let summary = "the machine that a module is compiled for, as the module attribute `pquant.target`";
  let description = [{
    The LLVM triple and the instruction-set levels, weakest first; kernels are generated once for each and chosen when the
    artifact is loaded, other code once for each run of levels that differ in their kernels only. Level 0 must run on every CPU of the architecture unless the user asked for one CPU.
    `binary` is the layout of 1-bit matrices, `d16` where it is left out; INT8 matrices are `i8x16x4`, float ones `f32x16` or,
    where no value has more digits, `bf16x16`.

    With a `gpu`, tensors live there and the levels are those of the code that drives it.

    Example: `#pquant.target<"aarch64-unknown-linux-gnu", levels = [...], binary = i1x16x8>`
  }];
  let parameters = (ins
    StringRefParameter<>:$triple,
    ArrayRefParameter<"::pquant::LevelAttr">:$levels,
    DefaultValuedParameter<"::pquant::LayoutKind", "::pquant::LayoutKind::D16">:$binaryLayout,
    OptionalParameter<"::pquant::GPUAttr">:$gpu);
  let assemblyFormat = [{
    `<` $triple `,` `levels` `=` `[` $levels `]` (`,` `binary` `=` $binaryLayout^)? (`,` `gpu` `=` $gpu^)? `>`
  }];
  let builders = [
    AttrBuilder<(ins "::llvm::StringRef":$triple, "::llvm::ArrayRef<::pquant::LevelAttr>":$levels,
                     CArg<"::pquant::LayoutKind", "::pquant::LayoutKind::D16">:$binaryLayout), [{
      return $_get($_ctxt, triple, levels, binaryLayout, ::pquant::GPUAttr());
    }]>
  ];
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The levels in runs that share all code but kernels: those of one CPU and vector width, whose first is the weakest.
    ::llvm::SmallVector<::llvm::ArrayRef<::pquant::LevelAttr>> getRuns() const;
  }];
}

#endif // PQUANT_DIALECTS_PQUANT_ATTRS_TD
