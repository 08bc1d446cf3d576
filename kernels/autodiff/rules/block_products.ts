import { cast } from "../../onnx/cast.ts";
import { type GraphBuilder, type GraphNode, MICROSOFT, type Value } from "../../onnx/graph.ts";
import { inputOf, intOf } from "../forward.ts";
import type { Rule, Rules } from "../rule.ts";

/** The matrix of a `MatMulNBits`, `[N, K]`, unpacked to float32. */
function unpacked(graph: GraphBuilder, node: GraphNode): Value {
  const [columns, rows] = [intOf(node, "K", 0), intOf(node, "N", 0)];
  const [bits, block] = [intOf(node, "bits", 4), intOf(node, "block_size", 0)];
  const blocks = Math.ceil(columns / block);
  const [, packed = "", scales = "", zeroPoints = ""] = node.inputs;
  if (node.inputs.length > 4 || (bits !== 8 && (bits !== 4 || zeroPoints !== ""))) {
    throw new TypeError(
      `Cannot differentiate MatMulNBits of ${bits} bits with ${node.inputs.length} inputs: ` +
        "only 8 bits, or 4 bits around the middle of the range",
    );
  }
  const toFloat = (value: Value) => cast(graph, value, "float32");
  const perBlock = (value: Value) =>
    graph.op("Reshape", [value, graph.integers([rows, blocks, 1])]);
  const values = bits === 8 ? toFloat(packed) : nibbles(graph, packed, [rows, blocks, block]);
  const zero = zeroPoints === ""
    ? graph.constant(Float32Array.of(2 ** (bits - 1)), [])
    : toFloat(perBlock(zeroPoints));
  const matrix = graph.op("Reshape", [
    graph.op("Mul", [graph.op("Sub", [values, zero]), perBlock(scales)]),
    graph.integers([rows, blocks * block]),
  ]);
  if (columns === blocks * block) return matrix;
  return graph.op("Slice", [
    matrix,
    graph.integers([0]),
    graph.integers([columns]),
    graph.integers([1]),
  ]);
}

/** Two values to a byte, the first in the low half. */
function nibbles(graph: GraphBuilder, packed: Value, shape: readonly number[]): Value {
  const byte = (value: number) => graph.constant(Uint8Array.of(value), []);
  const high = graph.op("BitShift", [packed, byte(4)], {
    attributes: { direction: { text: "RIGHT" } },
  });
  const low = graph.op("BitwiseAnd", [packed, byte(15)]);
  const pairs = [low, high].map((half) => graph.op("Unsqueeze", [half, graph.integers([-1])]));
  const joined = graph.op("Concat", pairs, { attributes: { axis: { int: -1 } } });
  return cast(graph, graph.op("Reshape", [joined, graph.integers(shape)]), "float32");
}

/**
 * Products with blocks of whole numbers. The matrix is frozen; it is unpacked for the way back,
 * whichever arithmetic the product itself used.
 */
const matMulNBits: Rule = {
  shapes: (node, { shape }) => [
    [...shape(inputOf(node, 0)).slice(0, -1), intOf(node, "N", 0)],
  ],
  backward: ({ node, graph, gradient }) => [
    graph.op("FusedMatMul", [gradient, unpacked(graph, node)], { domain: MICROSOFT }),
  ],
};

/** Products with frozen weights in few bits. */
export const BLOCK_PRODUCTS: Rules = { MatMulNBits: matMulNBits };
