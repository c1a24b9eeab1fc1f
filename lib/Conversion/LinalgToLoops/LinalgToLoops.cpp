//===- LinalgToLoops.cpp - linalg on buffers to (parallel) loops ----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Input: linalg ops on memrefs. Output: loop nests whose innermost loop LLVM
// can vectorise, inside pqk.parallel where there is enough work for threads.
//
// A contraction whose right operand is contiguous in n runs m, k, n; every
// other reduction keeps its order and its float additions may be reassociated,
// so that they vectorise (see docs/Architecture.md).
//
//===----------------------------------------------------------------------===//

#include "pquant/Conversion/Passes.h"

#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"

namespace pquant {
#define GEN_PASS_DEF_LINALGTOLOOPSPASS
#include "pquant/Conversion/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

namespace {
struct LinalgToLoopsPass
    : pquant::impl::LinalgToLoopsPassBase<LinalgToLoopsPass> {
  using LinalgToLoopsPassBase::LinalgToLoopsPassBase;
  void runOnOperation() override;
};
} // namespace

/// Lets LLVM reorder the float additions of reductions and contract them with
/// their multiplications.
static void allowReassociation(linalg::LinalgOp op) {
  if (op.getNumReductionLoops() == 0)
    return;
  auto flags = arith::FastMathFlagsAttr::get(
      op->getContext(),
      arith::FastMathFlags::reassoc | arith::FastMathFlags::contract);
  op.getBlock()->walk([&](Operation *inner) {
    if (isa<arith::AddFOp, arith::MulFOp>(inner))
      inner->setAttr("fastmath", flags);
  });
}

/// m, n, k -> m, k, n where that makes the innermost loop walk contiguous
/// memory: in products, whose left operand does not have n, with an m that
/// threads can share.
static linalg::LinalgOp orderContraction(RewriterBase &rewriter,
                                         linalg::LinalgOp op) {
  auto generic = dyn_cast<linalg::GenericOp>(op.getOperation());
  if (!generic || generic.getNumReductionLoops() != 1 ||
      generic.getNumDpsInputs() != 2 || generic.getNumDpsInits() != 1)
    return op;
  unsigned loops = generic.getNumLoops();
  AffineMap out = generic.getMatchingIndexingMap(generic.getDpsInitOperand(0));
  AffineMap lhs = generic.getMatchingIndexingMap(generic.getDpsInputOperand(0));
  AffineMap rhs = generic.getMatchingIndexingMap(generic.getDpsInputOperand(1));
  if (loops < 3 || out.getNumResults() == 0 || rhs.getNumResults() == 0)
    return op;
  auto n = dyn_cast<AffineDimExpr>(out.getResults().back());
  if (!n || rhs.getResults().back() != n ||
      lhs.isFunctionOfDim(n.getPosition()))
    return op;
  SmallVector<unsigned> order;
  for (unsigned i = 0; i < loops; ++i)
    if (i != n.getPosition())
      order.push_back(i);
  order.push_back(n.getPosition());
  FailureOr<linalg::GenericOp> moved =
      linalg::interchangeGenericOp(rewriter, generic, order);
  return succeeded(moved) ? *moved : op;
}

/// The number of innermost iterations under one iteration of `loop`'s body that
/// can be told where `loop` stands, as an index value. Lower bounds are 0 and
/// steps 1, as linalg makes them.
static Value innerWork(OpBuilder &builder, Location loc, Operation *root,
                       Value work) {
  for (Operation &op : root->getRegion(0).front()) {
    auto inner = dyn_cast<LoopLikeOpInterface>(op);
    if (!inner)
      continue;
    SmallVector<OpFoldResult> sizes = *inner.getLoopUpperBounds();
    for (OpFoldResult size : sizes) {
      auto value = dyn_cast<Value>(size);
      if (!value || !root->isAncestor(value.getParentRegion()->getParentOp()))
        work = arith::MulIOp::create(
            builder, loc, work,
            getValueOrCreateConstantIndexOp(builder, loc, size));
    }
    return innerWork(builder, loc, &op, work);
  }
  return work;
}

/// How many of a loop's dimensions threads share: all but the last, which is
/// left for vectors. A reduction has another loop for them inside, so that it
/// can share the last dimension too, and does when the others are 1.
static size_t countShared(scf::ParallelOp op) {
  ValueRange outer = op.getUpperBound().drop_back();
  bool reduces = llvm::any_of(*op.getBody(), [](Operation &inner) {
    return isa<LoopLikeOpInterface>(inner);
  });
  bool onlyLast = llvm::all_of(
      outer, [](Value size) { return matchPattern(size, m_One()); });
  return outer.empty() || (reduces && onlyLast) ? outer.size() + 1
                                                : outer.size();
}

/// scf.parallel over d1, .., dn -> pqk.parallel over the product of the shared
/// dimensions, with an scf.for over dn where that is not among them. Steps are
/// 1 and lower bounds 0, as linalg makes them.
static void shareOut(scf::ParallelOp op, int64_t grainWork) {
  OpBuilder builder(op);
  Location loc = op.getLoc();
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
  Value one = arith::ConstantIndexOp::create(builder, loc, 1);
  SmallVector<Value> sizes(op.getUpperBound());
  size_t shared = countShared(op);
  Value count = one, work = one;
  for (size_t i = 0; i < sizes.size(); ++i) {
    Value &product = i < shared ? count : work;
    product = arith::MulIOp::create(builder, loc, product, sizes[i]);
  }
  work = innerWork(builder, loc, op, work);
  work = arith::MaxUIOp::create(builder, loc, work, one);
  Value grain = arith::CeilDivUIOp::create(
      builder, loc, arith::ConstantIndexOp::create(builder, loc, grainWork),
      work);

  auto buildBody = [&](OpBuilder &b, Value linear) {
    IRMapping mapping;
    for (size_t i = shared; i-- > 0;) {
      Value index = linear;
      if (i > 0) {
        index = arith::RemUIOp::create(b, loc, linear, sizes[i]);
        linear = arith::DivUIOp::create(b, loc, linear, sizes[i]);
      }
      mapping.map(op.getInductionVars()[i], index);
    }
    auto cloneBody = [&](OpBuilder &inner) {
      for (Operation &nested : op.getBody()->without_terminator())
        inner.clone(nested, mapping);
    };
    if (shared == sizes.size())
      return cloneBody(b);
    auto last = scf::ForOp::create(b, loc, zero, sizes.back(), one);
    mapping.map(op.getInductionVars().back(), last.getInductionVar());
    OpBuilder inner = OpBuilder::atBlockBegin(last.getBody());
    cloneBody(inner);
  };
  pqk::ParallelOp::create(builder, loc, count, grain,
                          [&](OpBuilder &b, Location, Value begin, Value end) {
                            auto range =
                                scf::ForOp::create(b, loc, begin, end, one);
                            OpBuilder body =
                                OpBuilder::atBlockBegin(range.getBody());
                            buildBody(body, range.getInductionVar());
                          });
  op.erase();
}

/// Copies between buffers that are not both contiguous become linalg ops, the
/// others stay and become memcpy.
static void generalizeCopies(Operation *root) {
  root->walk([](memref::CopyOp copy) {
    auto isContiguous = [](Value value) {
      return cast<MemRefType>(value.getType()).getLayout().isIdentity();
    };
    if (isContiguous(copy.getSource()) && isContiguous(copy.getTarget()))
      return;
    OpBuilder builder(copy);
    linalg::makeMemRefCopyOp(builder, copy.getLoc(), copy.getSource(),
                             copy.getTarget());
    copy.erase();
  });
}

void LinalgToLoopsPass::runOnOperation() {
  generalizeCopies(getOperation());
  SmallVector<linalg::LinalgOp> ops;
  getOperation()->walk([&](linalg::LinalgOp op) { ops.push_back(op); });
  IRRewriter rewriter(&getContext());
  for (linalg::LinalgOp op : ops) {
    if (!op.hasPureBufferSemantics()) {
      op.emitOpError("expected operands on memrefs");
      return signalPassFailure();
    }
    allowReassociation(op);
    rewriter.setInsertionPoint(op);
    op = orderContraction(rewriter, op);
    rewriter.setInsertionPoint(op);
    FailureOr<linalg::LinalgLoops> loops =
        linalg::linalgOpToParallelLoops(rewriter, op);
    if (failed(loops)) {
      op.emitOpError("has no lowering to loops");
      return signalPassFailure();
    }
    rewriter.eraseOp(op);
  }
  WalkResult left = getOperation()->walk([](Operation *op) {
    if (!isa_and_nonnull<linalg::LinalgDialect>(op->getDialect()))
      return WalkResult::advance();
    op->emitOpError("has no lowering to loops");
    return WalkResult::interrupt();
  });
  if (left.wasInterrupted())
    return signalPassFailure();
  SmallVector<scf::ParallelOp> parallel;
  getOperation()->walk<WalkOrder::PreOrder>([&](scf::ParallelOp op) {
    parallel.push_back(op);
    return WalkResult::skip();
  });
  for (scf::ParallelOp op : parallel)
    shareOut(op, grainWork);

  // Parallel loops inside others are ordinary loops.
  getOperation()->walk([&](scf::ParallelOp op) {
    OpBuilder builder(op);
    IRMapping mapping;
    for (auto [lower, upper, step, index] :
         llvm::zip(op.getLowerBound(), op.getUpperBound(), op.getStep(),
                   op.getInductionVars())) {
      auto loop = scf::ForOp::create(builder, op.getLoc(), lower, upper, step);
      mapping.map(index, loop.getInductionVar());
      builder.setInsertionPointToStart(loop.getBody());
    }
    for (Operation &nested : op.getBody()->without_terminator())
      builder.clone(nested, mapping);
    op.erase();
  });
}
