#include "dialects/PQuant/PQuantDialect.h"
using namespace mlir;
using namespace pquant;
#define D(OP) FailureOr<SmallVector<Value>> OP::decompose(OpBuilder &) { return emitOpError("cannot be decomposed yet"); }
D(QuantizeOp) D(BinaryLinearOp) D(Int8LinearOp) D(DecoupledLinearOp) D(RouteOp) D(ExpertLinearOp) D(DecoupledFFNOp) D(RMSNormOp) D(RotaryEmbeddingOp) D(AttentionOp) D(CachedAttentionOp)
