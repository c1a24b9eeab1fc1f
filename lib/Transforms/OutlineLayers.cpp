//===- OutlineLayers.cpp - Identical layers become one function -----------===//
//
// Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Finds the run of operations in a function's body that repeats with a fixed
// period (the blocks of a decoder) and replaces each repetition by a call of
// one private function. Constants that differ, and every other value from
// outside, become arguments, so repetitions may differ in their weights only.
// Compile time and code size then do not grow with the depth of a model.
//
// Two operations are of the same class when they are equal but for locations
// and the values they use: their operands, and what their regions take from
// outside. A window of p operations repeats c times when the classes agree and
// every value used is defined at the same place of its own window in all of
// them, or outside in all of them.
//
//===----------------------------------------------------------------------===//

#include "pquant/Transforms/Passes.h"

#include "dialects/PQKernel/PQKernelDialect.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/OperationSupport.h"
#include "mlir/IR/SymbolTable.h"

namespace pquant {
#define GEN_PASS_DEF_OUTLINELAYERSPASS
#include "pquant/Transforms/Passes.h.inc"
} // namespace pquant

using namespace mlir;
using namespace pquant;

namespace {
/// `count` windows of `period` operations, the first one at `start`.
struct Repetition {
  size_t start = 0, period = 0, count = 0;
  size_t saved() const { return count ? period * (count - 1) : 0; }
};

/// What a window takes and gives: a list of slots, each (operation in the
/// window, number of the use or result).
struct Interface {
  using Slot = std::pair<size_t, unsigned>;
  SmallVector<SmallVector<Slot>> arguments; ///< slots that share an argument
  SmallVector<Slot> results;
};

/// The operations of one block that can be outlined, in order.
class Sequence {
public:
  explicit Sequence(Block &block);
  Repetition findLongest(size_t minPeriod) const;
  FailureOr<Interface> getInterface(const Repetition &repetition) const;
  Operation *at(size_t i) const { return operations[i]; }
  ArrayRef<OpOperand *> getUses(size_t i) const { return uses[i]; }

private:
  std::optional<size_t> find(Operation *op) const {
    auto it = position.find(op);
    return it == position.end() ? std::nullopt
                                : std::optional<size_t>(it->second);
  }
  /// Where the value of use `number` of operation `i` is defined within the
  /// window that starts at `start`; nullopt when outside.
  std::optional<Interface::Slot> definedIn(size_t start, size_t period,
                                           size_t i, unsigned number) const;

  SmallVector<Operation *> operations;
  SmallVector<SmallVector<OpOperand *>> uses;
  SmallVector<size_t> classes;
  DenseMap<Operation *, size_t> position;
};

struct OutlineLayersPass
    : pquant::impl::OutlineLayersPassBase<OutlineLayersPass> {
  using OutlineLayersPassBase::OutlineLayersPassBase;
  void runOnOperation() override;
};
} // namespace

/// Where an operation uses values from outside itself: its operands, then what
/// its regions take.
static SmallVector<OpOperand *> findUses(Operation *op) {
  SmallVector<OpOperand *> uses = llvm::map_to_vector(
      op->getOpOperands(), [](OpOperand &use) { return &use; });
  op->walk<WalkOrder::PreOrder>([&](Operation *nested) {
    if (nested == op)
      return;
    for (OpOperand &use : nested->getOpOperands())
      if (!op->isAncestor(use.get().getParentRegion()->getParentOp()))
        uses.push_back(&use);
  });
  return uses;
}

/// Equal but for locations and values from outside the operation.
static bool sameClass(Operation *lhs, Operation *rhs) {
  if (lhs->getOperandTypes() != rhs->getOperandTypes())
    return false;
  DenseMap<Value, Value> inner;
  DenseSet<Value> innerOfRhs;
  return OperationEquivalence::isEquivalentTo(
      lhs, rhs,
      [&](Value a, Value b) {
        auto it = inner.find(a);
        return success(it == inner.end() ? !innerOfRhs.contains(b) &&
                                               a.getType() == b.getType()
                                         : it->second == b);
      },
      [&](Value a, Value b) {
        inner[a] = b;
        innerOfRhs.insert(b);
      },
      OperationEquivalence::Flags::IgnoreLocations);
}

/// Whether two operations are the same constant.
static bool isConstantEqual(Operation *lhs, Operation *rhs) {
  return lhs && rhs && lhs->hasTrait<OpTrait::ConstantLike>() &&
         rhs->hasTrait<OpTrait::ConstantLike>() &&
         lhs->getAttrDictionary() == rhs->getAttrDictionary() &&
         lhs->getResultTypes() == rhs->getResultTypes();
}

Sequence::Sequence(Block &block) {
  DenseMap<llvm::hash_code, SmallVector<size_t>> seen;
  for (Operation &op : block.without_terminator()) {
    // Constants, and memory as tensors, are no layer's own.
    if (op.hasTrait<OpTrait::ConstantLike>() ||
        isa<bufferization::ToTensorOp,
            bufferization::MaterializeInDestinationOp>(op))
      continue;
    size_t index = operations.size();
    position[&op] = index;
    operations.push_back(&op);
    uses.push_back(findUses(&op));
    llvm::hash_code hash = OperationEquivalence::computeHash(
        &op, OperationEquivalence::ignoreHashValue,
        OperationEquivalence::ignoreHashValue,
        OperationEquivalence::Flags::IgnoreLocations);
    SmallVector<size_t> &candidates = seen[hash];
    auto *same = llvm::find_if(candidates, [&](size_t other) {
      return sameClass(operations[other], &op);
    });
    if (same == candidates.end()) {
      candidates.push_back(index);
      classes.push_back(index);
    } else {
      classes.push_back(*same);
    }
  }
}

std::optional<Interface::Slot> Sequence::definedIn(size_t start, size_t period,
                                                   size_t i,
                                                   unsigned number) const {
  auto result = dyn_cast<OpResult>(uses[i][number]->get());
  if (!result)
    return std::nullopt;
  std::optional<size_t> at = find(result.getOwner());
  if (!at || *at < start || *at >= start + period)
    return std::nullopt;
  return Interface::Slot(*at - start, result.getResultNumber());
}

FailureOr<Interface>
Sequence::getInterface(const Repetition &repetition) const {
  Interface interface;
  DenseMap<Value, SmallVector<size_t>> argumentsOf; // by first window's value
  auto valueAt = [&](size_t window, Interface::Slot slot) {
    return uses[repetition.start + window * repetition.period + slot.first]
               [slot.second]
                   ->get();
  };
  auto sharesEverywhere = [&](Interface::Slot a, Interface::Slot b) {
    for (size_t w = 0; w < repetition.count; ++w)
      if (valueAt(w, a) != valueAt(w, b))
        return false;
    return true;
  };
  auto isSameConstant = [&](Interface::Slot slot) {
    Operation *first = valueAt(0, slot).getDefiningOp();
    for (size_t w = 0; w < repetition.count; ++w)
      if (!isConstantEqual(first, valueAt(w, slot).getDefiningOp()))
        return false;
    return true;
  };
  for (size_t t = 0; t < repetition.period; ++t) {
    Operation *first = operations[repetition.start + t];
    for (unsigned k = 0, end = uses[repetition.start + t].size(); k < end;
         ++k) {
      auto where = [&](size_t w) {
        size_t start = repetition.start + w * repetition.period;
        return definedIn(start, repetition.period, start + t, k);
      };
      std::optional<Interface::Slot> inside = where(0);
      for (size_t w = 1; w < repetition.count; ++w)
        if (where(w) != inside)
          return failure();
      if (inside)
        continue;
      Interface::Slot slot(t, k);
      if (isSameConstant(slot))
        continue;
      SmallVector<size_t> &known = argumentsOf[valueAt(0, slot)];
      auto *shared = llvm::find_if(known, [&](size_t argument) {
        return sharesEverywhere(interface.arguments[argument].front(), slot);
      });
      if (shared != known.end()) {
        interface.arguments[*shared].push_back(slot);
        continue;
      }
      known.push_back(interface.arguments.size());
      interface.arguments.push_back({slot});
    }
    for (unsigned r = 0; r < first->getNumResults(); ++r) {
      bool escapes = false;
      for (size_t w = 0; w < repetition.count && !escapes; ++w) {
        size_t start = repetition.start + w * repetition.period;
        for (Operation *user : operations[start + t]->getResult(r).getUsers()) {
          // A user in a nested region counts where its ancestor stands.
          while (user->getBlock() != operations[start + t]->getBlock())
            user = user->getParentOp();
          std::optional<size_t> at = find(user);
          escapes |= !at || *at < start || *at >= start + repetition.period;
        }
      }
      if (escapes)
        interface.results.push_back({t, r});
    }
  }
  return interface;
}

Repetition Sequence::findLongest(size_t minPeriod) const {
  size_t n = classes.size();
  Repetition best;
  for (size_t period = minPeriod; period * 2 <= n; ++period) {
    size_t run = 0;
    for (size_t i = 0; i + period < n; ++i) {
      run = classes[i] == classes[i + period] ? run + 1 : 0;
      Repetition candidate{i + 1 - run, period, run / period + 1};
      if (run >= period && candidate.saved() > best.saved())
        best = candidate;
    }
  }
  return best;
}

/// Copies the constants that nested regions take from outside into them.
static void sinkConstants(Operation *op) {
  for (OpOperand *use : findUses(op)) {
    Operation *def = use->get().getDefiningOp();
    if (use->getOwner() == op || !def ||
        !def->hasTrait<OpTrait::ConstantLike>())
      continue;
    OpBuilder builder(use->getOwner());
    use->set(builder.clone(*def)->getResult(0));
  }
}

/// Among the rotations of a repetition, the one whose windows give the fewest
/// results and take the fewest arguments.
static std::optional<std::pair<Repetition, Interface>>
chooseRotation(const Sequence &sequence, const Repetition &found) {
  std::optional<std::pair<Repetition, Interface>> best;
  size_t bestCost = 0;
  for (size_t shift = 0; shift < found.period; ++shift) {
    for (size_t lost = 0; lost < 2 && found.count - lost >= 2; ++lost) {
      Repetition candidate{found.start + shift, found.period,
                           found.count - lost};
      if (shift > 0 && lost == 0)
        continue; // a shifted run holds one window fewer
      FailureOr<Interface> interface = sequence.getInterface(candidate);
      if (failed(interface) || interface->results.empty())
        continue;
      size_t cost = interface->results.size() * 8 +
                    interface->arguments.size() + lost * candidate.period / 2;
      if (!best || cost < bestCost) {
        best = {candidate, *interface};
        bestCost = cost;
      }
    }
  }
  return best;
}

/// Builds the function from the first window.
static func::FuncOp buildLayer(const Sequence &sequence,
                               const Repetition &repetition,
                               const Interface &interface,
                               func::FuncOp parent) {
  SmallVector<Type> inputs, results;
  for (const auto &slots : interface.arguments)
    inputs.push_back(
        sequence.getUses(repetition.start + slots[0].first)[slots[0].second]
            ->get()
            .getType());
  for (auto [t, r] : interface.results)
    results.push_back(
        sequence.at(repetition.start + t)->getResult(r).getType());
  OpBuilder builder(parent);
  auto layer =
      func::FuncOp::create(builder, sequence.at(repetition.start)->getLoc(),
                           "layer", builder.getFunctionType(inputs, results));
  layer.setPrivate();
  Block *body = layer.addEntryBlock();
  builder.setInsertionPointToStart(body);

  DenseMap<Interface::Slot, unsigned> argumentOf;
  for (auto [number, slots] : llvm::enumerate(interface.arguments))
    for (Interface::Slot slot : slots)
      argumentOf[slot] = number;
  IRMapping mapping;
  for (size_t t = 0; t < repetition.period; ++t) {
    Operation *original = sequence.at(repetition.start + t);
    for (OpOperand *use : sequence.getUses(repetition.start + t))
      if (Operation *def = use->get().getDefiningOp();
          def && def->hasTrait<OpTrait::ConstantLike>() &&
          !mapping.contains(use->get()))
        builder.clone(*def, mapping);
    Operation *clone = builder.clone(*original, mapping);
    // A clone's uses stand in the order of the original's, whatever they use.
    for (auto [k, use] : llvm::enumerate(findUses(clone)))
      if (auto it = argumentOf.find({t, static_cast<unsigned>(k)});
          it != argumentOf.end())
        use->set(body->getArgument(it->second));
  }
  SmallVector<Value> returned;
  for (auto [t, r] : interface.results)
    returned.push_back(
        mapping.lookup(sequence.at(repetition.start + t)->getResult(r)));
  func::ReturnOp::create(builder, layer.getLoc(), returned);
  return layer;
}

/// Replaces every window by a call, placed where the window ends.
static void replaceWindows(const Sequence &sequence,
                           const Repetition &repetition,
                           const Interface &interface, func::FuncOp layer) {
  for (size_t w = 0; w < repetition.count; ++w) {
    size_t start = repetition.start + w * repetition.period;
    Operation *last = sequence.at(start + repetition.period - 1);
    OpBuilder builder(last->getContext());
    builder.setInsertionPointAfter(last);
    SmallVector<Value> arguments;
    for (const auto &slots : interface.arguments)
      arguments.push_back(
          sequence.getUses(start + slots[0].first)[slots[0].second]->get());
    auto call = func::CallOp::create(builder, last->getLoc(), layer, arguments);
    for (auto [number, slot] : llvm::enumerate(interface.results))
      sequence.at(start + slot.first)
          ->getResult(slot.second)
          .replaceUsesWithIf(call.getResult(number), [&](OpOperand &use) {
            return use.getOwner() != call;
          });
  }
  for (size_t w = repetition.count; w-- > 0;)
    for (size_t t = repetition.period; t-- > 0;)
      sequence.at(repetition.start + w * repetition.period + t)->erase();
}

/// Moves what is not an operand's window (constants, and operations between
/// windows that do not depend on them) to the top, so that a call placed at a
/// window's end is dominated by its arguments.
static void hoistConstants(Block &block) {
  Operation *insertAfter = nullptr;
  for (Operation &op : llvm::make_early_inc_range(block)) {
    if (!op.hasTrait<OpTrait::ConstantLike>())
      continue;
    if (insertAfter)
      op.moveAfter(insertAfter);
    else
      op.moveBefore(&block, block.begin());
    insertAfter = &op;
  }
}

/// Gives every user of an uninitialised or constant-filled tensor one of its
/// own: a layer then makes its destinations itself.
static void cloneDestinations(Block &block) {
  auto isDestination = [](Operation *op) {
    if (isa_and_nonnull<tensor::EmptyOp>(op))
      return true;
    auto fill = dyn_cast_or_null<linalg::FillOp>(op);
    return fill && matchPattern(fill.value(), m_Constant()) &&
           fill.output().getDefiningOp<tensor::EmptyOp>();
  };
  // From the end, so that a fill is cloned before the tensor it fills.
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
    if (!isDestination(&op))
      continue;
    for (OpOperand &use : llvm::make_early_inc_range(op.getUses())) {
      // Beside its user, also in a branch: copies that stood together in front
      // of it would be a layer of their own.
      Operation *user = use.getOwner();
      while (isa<linalg::LinalgOp>(user->getParentOp()))
        user = user->getParentOp();
      OpBuilder builder(user);
      use.set(builder.clone(op)->getResult(0));
    }
    op.erase();
  }
}

/// The most linears on a path from the block's arguments to each operation.
static DenseMap<Operation *, unsigned> computeDepths(Block &block) {
  DenseMap<Operation *, unsigned> depths;
  for (Operation &op : block) {
    unsigned depth = 0;
    op.walk([&](Operation *nested) {
      for (Value operand : nested->getOperands())
        if (Operation *def = operand.getDefiningOp())
          depth = std::max(depth, depths.lookup(def));
    });
    depths[&op] = depth + isa<pqk::BinaryLinearOp, pqk::Int8LinearOp,
                              pqk::ExpertLinearOp, pqk::FloatLinearOp>(op);
  }
  return depths;
}

/// Moves what the layers share (masks, rotation angles, sizes) to the top. CSE
/// leaves it where the first layer uses it, and that layer then has operations
/// that the others lack. Shared is what no linear comes before
/// and operations of several depths use; an assertion stays before what it
/// guards.
static void hoistShared(Block &block) {
  DenseMap<Operation *, unsigned> depths = computeDepths(block);
  DenseSet<Operation *> shared;
  for (Operation &op : llvm::reverse(block.without_terminator())) {
    if (depths.lookup(&op) > 0)
      continue;
    bool hoist = op.use_empty();
    std::optional<unsigned> depth;
    for (Operation *user : op.getUsers()) {
      user = block.findAncestorOpInBlock(*user);
      unsigned other = depths.lookup(user);
      hoist |= shared.contains(user) || depth.value_or(other) != other;
      depth = other;
    }
    if (hoist)
      shared.insert(&op);
  }
  auto first = llvm::find_if(
      block, [&](Operation &op) { return !shared.contains(&op); });
  for (Operation &op : llvm::make_early_inc_range(
           llvm::make_range(first, std::prev(block.end()))))
    if (shared.contains(&op))
      op.moveBefore(&*first);
}

void OutlineLayersPass::runOnOperation() {
  SymbolTable symbols(getOperation());
  SmallVector<func::FuncOp> functions;
  for (auto function : getOperation().getOps<func::FuncOp>())
    if (function.isPublic() && llvm::hasSingleElement(function.getBody()))
      functions.push_back(function);
  for (func::FuncOp function : functions) {
    Block &block = function.getBody().front();
    hoistConstants(block);
    for (Operation &op : block)
      sinkConstants(&op);
    cloneDestinations(block);
    hoistShared(block);
    while (true) {
      Sequence sequence(block);
      Repetition found = sequence.findLongest(minOperations);
      if (found.count < 2)
        break;
      auto chosen = chooseRotation(sequence, found);
      if (!chosen)
        break;
      auto &[repetition, interface] = *chosen;
      func::FuncOp layer =
          buildLayer(sequence, repetition, interface, function);
      symbols.insert(layer);
      replaceWindows(sequence, repetition, interface, layer);
      emitRemark(function.getLoc())
          << repetition.count << " layers of " << repetition.period
          << " operations share @" << layer.getName();
    }
  }
}
