"""If and Loop, and what they capture."""

import numpy as np
from cases_attention import normal
from onnx import TensorProto, helper, numpy_helper
from operators import Case, node


def graph(nodes, inputs, outputs, **constants):
    """Types of a body's inputs are those of the values that it is given."""
    info = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    return helper.make_graph(nodes, "body", [info(name) for name in inputs.split()],
                             [info(name) for name in outputs.split()],
                             [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()])


def if_node(yes, no, outputs="y", condition="c"):
    return helper.make_node("If", [condition], outputs.split(), then_branch=yes, else_branch=no)


def cases_if():
    x, w = normal(3, 4), normal(4, 4)
    yes = graph([node("MatMul", "x w", "a"), node("Relu", "a", "r")], "", "r")
    no = graph([node("Mul", "x k", "b")], "", "b", k=np.float32(2))
    results = {True: np.maximum(x @ w, 0), False: x * np.float32(2)}
    for value, want in results.items():
        yield Case(f"if_constant_{value}", [if_node(yes, no)], {"x": x}, {"y": want}, {"w": w, "c": np.array(value)})
        yield Case(f"if_{value}", [if_node(yes, no)], {"x": x, "c": np.array(value)}, {"y": want}, {"w": w},
                   dynamic=("x:0",))
        # Constants, sizes and captured values that both branches and later nodes use.
        yield Case(f"if_shared_{value}", [
            if_node(graph([node("Add", "x k", "a"), node("Shape", "x", "s")], "", "a s"),
                    graph([node("Sub", "x k", "b"), node("Shape", "w", "t")], "", "b t"), "u v"),
            node("Add", "u k", "y"),
        ], {"x": x, "c": np.array(value)},
                   {"y": x + np.float32(6 if value else 0), "v": np.array([3, 4] if value else [4, 4])},
                   {"w": w, "k": np.float32(3)}, dynamic=("x:0",))
        # One branch returns an outer value, and its shape is not the other's.
        yield Case(f"if_shapes_{value}", [
            if_node(graph([], "", "x"), graph([node("Concat", "x x", "j", axis=0)], "", "j"), "u"),
            node("Neg", "u", "y")
        ], {"x": x, "c": np.array([value])}, {"y": -x if value else -np.concatenate([x, x])}, dynamic=("x:0",))
        inner = graph([if_node(yes, no, "i", "e")], "", "i")
        yield Case(f"if_nested_{value}", [if_node(inner, graph([node("Neg", "x", "n")], "", "n"))],
                   {"x": x, "c": np.array(True), "e": np.array(value)}, {"y": want}, {"w": w})
    yield Case("if_ranks", [if_node(yes, graph([node("ReduceSum", "x", "s", keepdims=0)], "", "s"))],
               {"x": x, "c": np.array(True)}, {"y": x}, {"w": w},
               error="expected branches of the same rank, but got 2 and 0")
    yield Case("if_types", [if_node(yes, graph([node("Cast", "x", "i", to=TensorProto.INT32)], "", "i"))],
               {"x": x, "c": np.array(True)}, {"y": x}, {"w": w}, error="expected branches of the same element type")
    yield Case("if_undefined", [if_node(yes, graph([node("Neg", "q", "n")], "", "n"))], {"x": x, "c": np.array(True)},
               {"y": x}, {"w": w}, error="input 'q' is not defined")


def cases_loop():
    x, w = normal(3, 4), (normal(4, 4) / 2).astype(np.float32)
    step = [node("Identity", "go", "on"), node("MatMul", "state w", "p"), node("Cast", "i", "f", to=1),
            node("Add", "p f", "next")]
    body = graph(step, "i go state", "on next")
    scanned = graph(step + [node("ReduceSum", "next", "e", keepdims=0)], "i go state", "on next e")

    def run(count):
        state, sums = x.astype(np.float64), []
        for i in range(count):
            state = state @ w + i
            sums.append(state.sum())
        return state.astype(np.float32), np.array(sums, np.float32)

    loop = lambda names, outputs, body: helper.make_node("Loop", ["" if n == "-" else n for n in names.split()],
                                                         outputs.split(), body=body)
    count = lambda n: np.array(n, np.int64)
    yield Case("loop_unrolled", [loop("m - x", "y", body)], {"x": x}, {"y": run(5)[0]}, {"w": w, "m": count(5)},
               dynamic=("x:0",))
    yield Case("loop_scan", [loop("m c x", "y s", scanned)], {"x": x}, {"y": run(5)[0], "s": run(5)[1]},
               {"w": w, "m": count(5), "c": np.array(True)})
    yield Case("loop_none", [loop("m c x", "y", body)], {"x": x}, {"y": x},
               {"w": w, "m": count(5), "c": np.array(False)})
    for trips in (0, 3, 7):
        yield Case(f"loop_{trips}", [loop("m - x", "y", body)], {"x": x, "m": count(trips)}, {"y": run(trips)[0]},
                   {"w": w}, dynamic=("x:0",))
    many = graph([node("Identity", "go", "on"), node("Add", "state k", "next")], "i go state", "on next")
    yield Case("loop_many", [loop("m - x", "y", many)], {"x": x}, {"y": x + np.float32(100)},
               {"k": np.float32(1), "m": count(100)})
    early = graph(step[1:] + [node("Less", "i last", "on")], "i go state", "on next", last=count(2))
    yield Case("loop_early", [loop("m - x", "y", early)], {"x": x}, {"y": run(3)[0]}, {"w": w, "m": count(9)})
    grows = graph([node("Identity", "go", "on"), node("Concat", "state state", "next", axis=0)],
    "i go state", "on next")
    yield Case("loop_grows", [loop("m - x", "y", grows)], {"x": x}, {"y": np.concatenate([x] * 4)}, {"m": count(2)})
    yield Case("loop_grows_dynamic", [loop("m - x", "y", grows)], {"x": x, "m": count(2)}, {"y": x},
               error="a loop-carried value that changes its type or shape is not supported")
    yield Case("loop_scan_dynamic", [loop("m - x", "y s", scanned)], {"x": x, "m": count(2)}, {"y": x, "s": x},
               {"w": w},
               error="scan outputs are supported for a known trip count of at most 64 only")
    ends = graph(step[1:] + [node("ReduceSum", "next", "t", keepdims=0), node("Less", "t q", "on")], "i go state",
                 "on next", q=np.float32(5))
    yield Case("loop_while", [loop("m - x", "y", ends)], {"x": x}, {"y": x}, {"w": w, "m": count(9)},
               error="a loop that ends by a computed condition is not supported")
    yield Case("loop_endless", [loop("- - x", "y", body)], {"x": x}, {"y": x}, {"w": w},
               error="a loop without a trip count is not supported")
