# Part of pquant, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The decoder of `pquant.decoder` as an ONNX graph, opset 17, with dynamic batch and sequence.

Three forms. Two are those in which exporters write such a model:

- qat: float shadow weights and the fake-quant arithmetic of training, with or without the straight-through residue
  `x + (q - x)`;
- folded: the weight side computed by the exporter, so that a 1-bit matrix is a float tensor of two values +-s and an
  INT8 matrix one of k * s, both transposed for MatMul.

The third is for those who run it:

- deployment: quantised layers are calls of functions of domain `pquant` on packed weights (`pquant.onnx_functions`).
  Linears that read the same rows share one call of the quantiser.

With a cache the graph is one step of a decoder: it takes the keys and values of earlier tokens, none for the first
step, and gives them back with those of `input_ids` appended.
"""

from typing import Dict, Optional

import numpy as np
import onnx
from onnx import TensorProto, helper

from pquant import reference as ref
from pquant.decoder import DecoderConfig, RandomWeights
from pquant.onnx_functions import QUANTIZERS
from pquant.onnx_graph import GraphBuilder

FORMS = ("qat", "folded", "deployment")


class DecoderExporter:
    """Writes one decoder into a GraphBuilder."""

    def __init__(
        self,
        config: DecoderConfig,
        weights: RandomWeights,
        builder: GraphBuilder,
        form: str = "qat",
        residue: bool = True,
        cache: bool = False,
        metadata: Optional[Dict[str, str]] = None,
    ):
        if form not in FORMS:
            raise ValueError(f"expected form {', '.join(FORMS)}, but got {form}")
        self.config, self.weights, self.g = config, weights, builder
        self.form, self.residue, self.cache, self.metadata = form, residue, cache, metadata
        self.present: list = []

    def export(self) -> onnx.ModelProto:
        config, g = self.config, self.g
        inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])]
        inputs += self._cache_infos("past_key_values", "past")
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "sequence", config.vocab])
        self._positions()
        embedding = self.weights.matrix("embedding.weight", (config.vocab, config.hidden), 1.0)
        with g.scope("embedding"):
            x = g.op("Gather", g.weight("embedding.weight", embedding), "input_ids")
        for b in range(config.blocks):
            name = f"blocks.{b}"
            with g.scope(name):
                x = g.op("Add", x, self._attention(f"{name}.attention", self._norm(f"{name}.norm1", x)))
                x = g.op("Add", x, self._feed_forward(f"{name}.ffn", self._norm(f"{name}.norm2", x)))
        x = self._norm("norm", x)
        with g.scope("head"):
            y = self._float_linear("head.weight", x, config.vocab)
        g.nodes.append(helper.make_node("Identity", [y], ["logits"], name="logits"))
        outputs = [logits] + self._cache_infos("present", "total")
        for value, info in zip(self.present, outputs[1:]):
            g.nodes.append(helper.make_node("Identity", [value], [info.name], name=info.name))
        return g.model("pquant_decoder", inputs, outputs, "pquant", self.metadata)

    # Cache, positions, mask

    def _cache_infos(self, name: str, length: str) -> list:
        """One float32 [batch, groups, length, head_dim] for the keys and one for the values of each block."""
        if not self.cache:
            return []
        sizes = ["batch", self.config.groups, length, self.config.head_dim]
        names = [f"{name}.{b}.{part}" for b in range(self.config.blocks) for part in ("key", "value")]
        return [helper.make_tensor_value_info(each, TensorProto.FLOAT, sizes) for each in names]

    def _size(self, value: str, axis: int) -> str:
        return self.g.op("Gather", self.g.op("Shape", value), self.g.constant(axis, np.int64), axis=0)

    def _positions(self) -> None:
        """The rotary tables [S, D] and the causal mask [S, T], shared by all blocks; T counts the past as well."""
        g, config = self.g, self.config
        with g.scope("positions"):
            zero, one = g.constant(0, np.int64), g.constant(1, np.int64)
            total = length = self._size("input_ids", 1)
            if self.cache:
                zero = self._size("past_key_values.0.key", 2)
                total = g.op("Add", zero, length)
            positions = g.op("Range", zero, total, one)
            every = g.op("Range", g.constant(0, np.int64), total, one) if self.cache else positions
            axis0, axis1 = g.constant([0], np.int64), g.constant([1], np.int64)
            column = g.op("Unsqueeze", positions, axis1)
            self.visible = g.op("LessOrEqual", g.op("Unsqueeze", every, axis0), column)
            frequencies = g.constant(ref.rotary_frequencies(config.head_dim, config.rope_base)[None])
            angles = g.op("Mul", g.op("Cast", column, to=TensorProto.FLOAT), frequencies)
            angles = g.op("Concat", angles, angles, axis=-1)
            self.cos, self.sin = g.op("Cos", angles), g.op("Sin", angles)

    # Quantisers

    def _gamma(self, absmax: str) -> tuple:
        """The operations that scale by and descale from an AbsMax: ((op, operand) before, (op, operand) after)."""
        g, quantizer = self.g, self.config.quantizer
        eps, qmax = g.constant(quantizer.eps), g.constant(float(quantizer.qmax))
        guarded = g.op("Clip", absmax, eps) if quantizer.guard == "max" else g.op("Add", absmax, eps)
        if quantizer.formula == "div":
            step = g.op("Div", guarded, qmax)
            return ("Div", step), ("Mul", step)
        if quantizer.formula == "mul_div":
            gamma = g.op("Div", qmax, guarded)
        else:
            gamma = g.op("Mul", g.op("Reciprocal", guarded), qmax)
        return ("Mul", gamma), ("Div", gamma)

    def _with_residue(self, x: str, quantized: str) -> str:
        if not self.residue:
            return quantized
        return self.g.op("Add", x, self.g.op("Sub", quantized, x))

    def _fake_quantize(self, x: str, per_row: bool) -> str:
        g, quantizer = self.g, self.config.quantizer
        rows = {"axes": [-1], "keepdims": 1} if per_row else {"keepdims": 0}
        before, after = self._gamma(g.op("ReduceMax", g.op("Abs", x), **rows))
        rounded = g.op("Round", g.op(before[0], x, before[1]))
        limits = g.constant(float(quantizer.qmin)), g.constant(float(quantizer.qmax))
        return self._with_residue(x, g.op(after[0], g.op("Clip", rounded, *limits), after[1]))

    def _quantize(self, x: str):
        """Rows as linears of the variant read them: fake-quantised, or in deployment form integers and step."""
        if self.config.kind == "float":
            return x
        if self.form != "deployment":
            return self._fake_quantize(x, per_row=True)
        quantizer = self.config.quantizer
        floor, offset = (quantizer.eps, 0.0) if quantizer.guard == "max" else (0.0, quantizer.eps)
        function, limits = QUANTIZERS[quantizer.formula], {"qmin": quantizer.qmin, "qmax": quantizer.qmax}
        return self.g.call(function, x, outputs=2, floor=float(floor), offset=float(offset), **limits)

    def _fake_ternarize(self, weight: str) -> str:
        g = self.g
        scale = g.op("Clip", g.op("ReduceMean", g.op("Abs", weight), keepdims=0), g.constant(1e-5))
        rounded = g.op("Round", g.op("Div", weight, scale))
        values = g.op("Clip", rounded, g.constant(-1.0), g.constant(1.0))
        return self._with_residue(weight, g.op("Mul", values, scale))

    def _fake_binarize(self, weight: str) -> str:
        g = self.g
        mean = g.op("ReduceMean", weight, keepdims=0)
        scale = g.op("ReduceMean", g.op("Abs", weight), keepdims=0)
        positive = g.op("Greater", g.op("Sub", weight, mean), g.constant(0.0))
        sign = g.op("Where", positive, g.constant(1.0), g.constant(-1.0))
        return self._with_residue(weight, g.op("Mul", sign, scale))

    # Linears; x is quantised already

    def _float_linear(self, name: str, x: str, rows: int) -> str:
        weight = self.g.weight(name, self.weights.matrix(name, (rows, self.config.hidden)))
        return self.g.op("MatMul", x, self.g.op("Transpose", weight, perm=[1, 0]))

    def _fold(self, values: np.ndarray, kind: str) -> np.ndarray:
        if kind == "int8":
            return ref.fake_quantize_weight(values, self.config.quantizer)
        return {"binary": ref.fake_binarize_weight, "ternary": ref.fake_ternarize_weight}[kind](values)

    def _packed_linear(self, name: str, x: tuple, values: np.ndarray, kind: str) -> str:
        g = self.g
        if kind == "int8":
            integers, scale = ref.quantize_weight(values, self.config.quantizer)
            operands = [g.weight(f"{name}.weight", integers), g.weight(f"{name}.scale", np.reshape(scale, 1))]
            return g.call("Int8Linear", *x, *operands)
        columns = values.shape[1]
        if kind == "binary":
            bits, scale = ref.binarize_weight(values)
            operands = [g.weight(f"{name}.bits", ref.pack_rows(bits)), g.weight(f"{name}.scale", np.reshape(scale, 1))]
            return g.call("BinaryLinear", *x, *operands, columns=columns)
        signs, scale = ref.ternarize_weight(values)
        planes = {"nonnegative": signs >= 0, "positive": signs > 0}
        operands = [g.weight(f"{name}.{plane}", ref.pack_rows(bits)) for plane, bits in planes.items()]
        return g.call("TernaryLinear", *x, *operands, g.weight(f"{name}.scale", np.reshape(scale, 1)), columns=columns)

    def _linear(self, name: str, x, shape: tuple, kind: str) -> str:
        g = self.g
        values = self.weights.matrix(f"{name}.weight", shape)
        with g.scope(name.rsplit(".", 1)[-1]):
            if kind != "float" and self.form == "deployment":
                return self._packed_linear(name, x, values, kind)
            if kind != "float" and self.form == "folded":
                return g.op("MatMul", x, g.weight(f"{name}.weight", self._fold(values, kind).T))
            weight = g.weight(f"{name}.weight", values)
            if kind == "int8":
                weight = self._fake_quantize(weight, per_row=False)
            elif kind != "float":
                weight = self._fake_binarize(weight) if kind == "binary" else self._fake_ternarize(weight)
            return g.op("MatMul", x, g.op("Transpose", weight, perm=[1, 0]))

    # Blocks

    def _inner_norm(self, name: str, x: str, size: int) -> str:
        """What some variants normalise once more: the rows of an output or a down projection."""
        return x

    def _activate(self, x: str) -> str:
        return self.g.op("Mul", x, self.g.op("Sigmoid", x))

    def _norm(self, name: str, x: str, size: int = 0) -> str:
        g = self.g
        with g.scope(name.rsplit(".", 1)[-1]):
            weight = g.weight(f"{name}.weight", self.weights.norm(f"{name}.weight", size or self.config.hidden))
            mean = g.op("ReduceMean", g.op("Pow", x, g.constant(2.0)), axes=[-1], keepdims=1)
            root = g.op("Sqrt", g.op("Add", mean, g.constant(self.config.norm_eps)))
            return g.op("Mul", g.op("Mul", x, g.op("Div", g.constant(1.0), root)), weight)

    def _rotate(self, x: str) -> str:
        g, half = self.g, self.config.head_dim // 2
        axis = g.constant([3], np.int64)
        first = g.op("Slice", x, g.constant([0], np.int64), g.constant([half], np.int64), axis)
        second = g.op("Slice", x, g.constant([half], np.int64), g.constant([2 * half], np.int64), axis)
        turned = g.op("Concat", g.op("Neg", second), first, axis=-1)
        return g.op("Add", g.op("Mul", x, self.cos), g.op("Mul", turned, self.sin))

    def _repeat_heads(self, x: str) -> str:
        """[B, G, S, D] to [B, H, S, D], each head repeated H / G times."""
        g, config = self.g, self.config
        repeat = config.heads // config.groups
        if repeat == 1:
            return x
        axis0, axis2 = g.constant([0], np.int64), g.constant([2], np.int64)

        def sizes(*middle):
            ends = [g.op("Unsqueeze", self._size(x, axis), axis0) for axis in (0, 2)]
            middle = [g.constant([size], np.int64) for size in middle]
            width = g.constant([config.head_dim], np.int64)
            return g.op("Concat", ends[0], *middle, ends[1], width, axis=0)

        wide = g.op("Expand", g.op("Unsqueeze", x, axis2), sizes(config.groups, repeat))
        return g.op("Reshape", wide, sizes(config.heads))

    def _with_past(self, key: str, value: str) -> tuple:
        """Keys and values with those of earlier tokens before them."""
        if not self.cache:
            return key, value
        block = len(self.present) // 2
        for part, new in (("key", key), ("value", value)):
            self.present.append(self.g.op("Concat", f"past_key_values.{block}.{part}", new, axis=2))
        return tuple(self.present[-2:])

    def _attention(self, name: str, x: str) -> str:
        g, config = self.g, self.config
        with g.scope("attention"):
            quantized = self._quantize(x)
            heads = {}
            for part, count in (("query", config.heads), ("key", config.groups), ("value", config.groups)):
                y = self._linear(f"{name}.{part}", quantized, config.attention_shapes[part], config.kind)
                y = g.op("Reshape", y, g.constant([0, 0, count, config.head_dim], np.int64))
                heads[part] = g.op("Transpose", y, perm=[0, 2, 1, 3])
            query = self._rotate(heads["query"])
            key, value = self._with_past(self._rotate(heads["key"]), heads["value"])
            key = self._repeat_heads(key)
            logits = g.op("MatMul", query, g.op("Transpose", key, perm=[0, 1, 3, 2]))
            logits = g.op("Div", logits, g.constant(config.head_dim**0.5))
            logits = g.op("Where", self.visible, logits, g.constant(-np.inf))
            mixed = g.op("MatMul", g.op("Softmax", logits, axis=-1), self._repeat_heads(value))
            merged = g.op("Transpose", mixed, perm=[0, 2, 1, 3])
            merged = g.op("Reshape", merged, g.constant([0, 0, config.hidden], np.int64))
            quantized = self._quantize(self._inner_norm(f"{name}.norm", merged, config.hidden))
            return self._linear(f"{name}.output", quantized, config.attention_shapes["output"], config.kind)

    def _gated(self, name: str, x, width: int, kind: str) -> str:
        g, shapes = self.g, self.config.ffn_shapes(width)
        gate = self._activate(self._linear(f"{name}.gate", x, shapes["gate"], kind))
        hidden = g.op("Mul", gate, self._linear(f"{name}.up", x, shapes["up"], kind))
        hidden = self._inner_norm(f"{name}.norm", hidden, width)
        return self._linear(f"{name}.down", self._quantize(hidden), shapes["down"], kind)

    def _branch(self, name: str, x, width: int, kind: str) -> str:
        with self.g.scope(name.split(".ffn.", 1)[-1]):
            return self._gated(name, x, width, kind)

    def _routed(self, name: str, x: str, quantized) -> str:
        """All experts evaluated, the most probable one gathered and weighted by its probability."""
        g, config = self.g, self.config
        logits = self._float_linear(f"{name}.router.weight", x, config.experts)
        probabilities = g.op("Softmax", logits, axis=-1)
        probability = g.op("ReduceMax", probabilities, axes=[-1], keepdims=1)
        index = g.op("ArgMax", probabilities, axis=-1, keepdims=1)
        axis = g.constant([-2], np.int64)
        outputs = []
        for e in range(config.experts):
            y = self._branch(f"{name}.experts.{e}", quantized, config.high_precision, "int8")
            outputs.append(g.op("Unsqueeze", y, axis))
        stacked = g.op("Concat", *outputs, axis=-2)
        one = g.constant([1], np.int64)
        sizes = [g.op("Unsqueeze", self._size(x, i), g.constant([0], np.int64)) for i in (0, 1)]
        shape = g.op("Concat", *sizes, one, g.constant([config.hidden], np.int64), axis=0)
        index = g.op("Expand", g.op("Unsqueeze", index, g.constant([-1], np.int64)), shape)
        chosen = g.op("Squeeze", g.op("GatherElements", stacked, index, axis=-2), axis)
        return g.op("Mul", chosen, probability)

    def _feed_forward(self, name: str, x: str) -> str:
        g, config = self.g, self.config
        with g.scope("ffn"):
            quantized = self._quantize(x)
            if config.variant != "pquant":
                return self._gated(name, quantized, config.ffn, config.kind)
            one = self._branch(f"{name}.one", quantized, config.ffn - config.high_precision, "binary")
            if config.experts > 1:
                high = self._routed(name, x, quantized)
            else:
                high = self._branch(f"{name}.experts.0", quantized, config.high_precision, "int8")
            alpha, beta = (
                g.weight(f"{name}.{part}", np.reshape(self.weights.scalar(f"{name}.{part}", default), ()))
                for part, default in (("alpha", config.alpha), ("beta", config.beta))
            )
            return g.op("Add", g.op("Mul", alpha, high), g.op("Mul", beta, one))
