import { cast } from "./onnx/cast.ts";
import type { GraphBuilder, Value } from "./onnx/graph.ts";
import { MICROSOFT } from "./onnx/graph.ts";
import { BLOCK, roundBlocks } from "./round_blocks.ts";
import { sharedProduct, type StepArithmetic } from "./shared_product.ts";

export { BLOCK, roundBlocks };

/** Where bytes lie: a file, relative to the folder that the session is told. */
export interface Place {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

/** A matrix in a floating-point type, `[rows, columns]` as checkpoints store it. */
export interface FloatWeight {
  readonly kind: "float";
  readonly type: "float32" | "float16" | "bfloat16";
  readonly rows: number;
  readonly columns: number;
  readonly place: Place;
  /** Heads whose rows lie interleaved, `[headDim / 2, 2]`; undone when the graph is loaded. */
  readonly interleavedHeads?: number;
}

/**
 * A matrix in blocks of 32 whole numbers along its columns, each block with its own scale:
 * `scale · (value − zero)`, plus the block's `offset` where there is one.
 */
export interface BlockWeight {
  readonly kind: "blocks";
  readonly bits: 4 | 8;
  readonly rows: number;
  readonly columns: number;
  /** Unsigned values, `[rows, blocks, 4 · bits]` bytes. */
  readonly values: Place;
  /** `[rows, blocks]` float32. */
  readonly scales: Place;
  /** `[rows, blocks]` bytes (8 bits only). Absent: the middle of the range. */
  readonly zeroPoints?: Place;
  /** `[blocks, rows]` float32: added once for every value of the block (Q4_1 kept exact). */
  readonly offsets?: Place;
}

/** A matrix that the graph multiplies with. */
export type Weight = FloatWeight | BlockWeight;

/** What stands for zero in 8 bits, where a weight does not say otherwise. */
export const MIDDLE = 128;

/**
 * Arithmetic of a product with a {@linkcode BlockWeight}.
 *
 * `integer` rounds the activations to 8 bits per block: fast for one row. `float` unpacks the weights
 * and leaves the activations alone: what that costs is shared by many rows. `unpacked` does the same
 * with an operator that unpacks 8 bits several times as fast, on the processor.
 * `twice` rounds the activations as `integer` does and multiplies with what the rounding left over as
 * well: as exact as `float`, and fast for a few rows. A {@linkcode StepArithmetic} is `integer` or `twice`
 * as each step has it, with one packed matrix for both.
 */
export type Arithmetic = FixedArithmetic | StepArithmetic;

type FixedArithmetic = "integer" | "float" | "unpacked" | "twice";

const ACCURACY_LEVEL = { float: 0, unpacked: 0, integer: 4, twice: 4 } as const;

/** Multiplies rows with a declared weight, `[S, columns] → [S, rows]`. Usable in every branch. */
export type Product = (builder: GraphBuilder, rows: Value, arithmetic: Arithmetic) => Value;

/** Declares a weight once in the outermost graph and returns the product with it. */
export function declareWeight(builder: GraphBuilder, weight: Weight): Product {
  return weight.kind === "float" ? floatProduct(builder, weight) : blockProduct(builder, weight);
}

function floatProduct(outer: GraphBuilder, weight: FloatWeight): Product {
  const matrix = declareFloat(outer, weight);
  return (builder, rows) =>
    builder.op("FusedMatMul", [rows, matrix], {
      domain: MICROSOFT,
      attributes: { transB: { int: 1 } },
    });
}

/** Declares a float matrix as float32 `[rows, columns]`; the conversion is folded at load. */
export function declareFloat(builder: GraphBuilder, weight: FloatWeight): Value {
  const { type, rows, columns, place, interleavedHeads } = weight;
  let matrix = builder.external(type, [rows, columns], place);
  if (type !== "float32") {
    matrix = cast(builder, matrix, "float32");
  }
  if (interleavedHeads === undefined) return matrix;
  const half = rows / interleavedHeads / 2;
  const pairs = builder.op("Reshape", [
    matrix,
    builder.integers([interleavedHeads, half, 2, columns]),
  ]);
  const halves = builder.op("Transpose", [pairs], {
    attributes: { perm: { ints: [0, 2, 1, 3] } },
  });
  return builder.op("Reshape", [halves, builder.integers([rows, columns])]);
}

/** The tensors of a {@linkcode BlockWeight}, declared. */
export interface DeclaredBlocks {
  readonly weight: BlockWeight;
  readonly values: Value;
  readonly scales: Value;
  /** Empty where the zero is the middle of the range. */
  readonly zeroPoints: Value;
  readonly offsets: Value;
  /**
   * The same bytes under another name, `[rows, columns of blocks]` and `[rows, blocks]`. A product that
   * packs its weights anew lets go of those that it was given; these stay in the file.
   */
  readonly unpacking: () => UnpackingBlocks;
}

/** What is unpacked to `[rows, columns of blocks]`: bytes, and a scale and a zero for each block. */
export interface UnpackingBlocks {
  readonly values: Value;
  readonly scales: Value;
  /** Empty where the zero is the middle of the range. */
  readonly zeroPoints: Value;
}

/** Declares the tensors of a block weight, for products and for row look-ups alike. */
export function declareBlocks(builder: GraphBuilder, weight: BlockWeight): DeclaredBlocks {
  const { bits, rows, columns, values, scales, zeroPoints, offsets } = weight;
  const blocks = Math.ceil(columns / BLOCK);
  let second: UnpackingBlocks | undefined;
  const unpacking = (): UnpackingBlocks =>
    second ??= {
      values: builder.external("uint8", [rows, blocks * BLOCK], values),
      scales: builder.external("float32", [rows, blocks], scales),
      zeroPoints: zeroPoints ? builder.external("uint8", [rows, blocks], zeroPoints) : "",
    };
  return {
    weight,
    unpacking,
    values: builder.external("uint8", [rows, blocks, (BLOCK * bits) / 8], values),
    scales: builder.external("float32", [rows * blocks], scales),
    zeroPoints: zeroPoints ? builder.external("uint8", [rows * blocks], zeroPoints) : "",
    offsets: offsets ? builder.external("float32", [blocks, rows], offsets) : "",
  };
}

function blockProduct(outer: GraphBuilder, weight: BlockWeight): Product {
  const declared = declareBlocks(outer, weight);
  return (builder, rows, arithmetic) => multiplyBlocks(builder, rows, declared, arithmetic);
}

/** The product with declared blocks. */
export function multiplyBlocks(
  builder: GraphBuilder,
  rows: Value,
  blocks: DeclaredBlocks,
  arithmetic: Arithmetic,
): Value {
  const { columns } = blocks.weight;
  if (typeof arithmetic === "object") return multiplyByStep(builder, rows, blocks, arithmetic);
  const multiply = (factors: Value) => multiplyOnce(builder, factors, blocks, arithmetic);
  if (arithmetic !== "twice" || columns % BLOCK !== 0) return multiply(rows);
  const rounded = roundBlocks(builder, rows, columns);
  return builder.op("Add", [multiply(rounded), multiply(builder.op("Sub", [rows, rounded]))]);
}

function multiplyByStep(
  builder: GraphBuilder,
  rows: Value,
  blocks: DeclaredBlocks,
  arithmetic: StepArithmetic,
): Value {
  const { weight } = blocks;
  if (weight.columns % BLOCK === 0) {
    const product = sharedProduct(
      builder,
      rows,
      arithmetic,
      weight,
      (factors) => multiplyPacked(builder, factors, blocks, "integer"),
    );
    return withOffsets(builder, rows, blocks, product);
  }
  // Rows that end within a block cannot be divided. No model of a size that matters has any.
  const branch = (fixed: FixedArithmetic) => {
    const inner = builder.branch(fixed);
    inner.output(multiplyOnce(inner, rows, blocks, fixed), "float32", ["T", weight.rows]);
    return { graph: inner.build() };
  };
  return builder.op("If", [arithmetic.exact], {
    attributes: { then_branch: branch("unpacked"), else_branch: branch("integer") },
  });
}

/** The matrix of 8 bits in float32, `[rows, columns]`, to be multiplied with some factors. */
function unpack(
  builder: GraphBuilder,
  { weight, unpacking }: DeclaredBlocks,
  factors: Value,
): Value {
  const { rows, columns } = weight;
  const { values, scales, zeroPoints } = unpacking();
  const blocks = Math.ceil(columns / BLOCK);
  const zeros = zeroPoints !== ""
    ? zeroPoints
    : builder.constant(new Uint8Array(rows * blocks).fill(MIDDLE), [rows, blocks]);
  // Times one, a number that depends on the factors: the runtime would unpack matrices of all layers
  // before the first product otherwise, and hold them all.
  const size = cast(
    builder,
    builder.op("Shape", [factors], { attributes: { start: { int: 0 }, end: { int: 1 } } }),
    "float32",
  );
  const due = builder.op("Mul", [scales, builder.op("Div", [size, size])]);
  const matrix = builder.op("DequantizeLinear", [values, due, zeros], {
    attributes: { axis: { int: 1 }, block_size: { int: BLOCK } },
  });
  return columns % BLOCK === 0 ? matrix : builder.op("Slice", [
    matrix,
    builder.integers([0]),
    builder.integers([columns]),
    builder.integers([1]),
  ]);
}

function multiplyOnce(
  builder: GraphBuilder,
  rows: Value,
  blocks: DeclaredBlocks,
  arithmetic: FixedArithmetic,
): Value {
  const { weight } = blocks;
  const product = arithmetic === "unpacked" && weight.bits === 8
    ? builder.op("FusedMatMul", [rows, unpack(builder, blocks, rows)], {
      domain: MICROSOFT,
      attributes: { transB: { int: 1 } },
    })
    : multiplyPacked(builder, rows, blocks, arithmetic);
  return withOffsets(builder, rows, blocks, product);
}

/** Adds to a product what the offsets of the blocks come to. */
function withOffsets(
  builder: GraphBuilder,
  rows: Value,
  { weight, offsets }: DeclaredBlocks,
  product: Value,
): Value {
  if (offsets === "") return product;
  // Σ over a block of x·(value + offset) = Σ x·value + offset·Σ x.
  const blocked = builder.op("Reshape", [
    rows,
    builder.integers([-1, weight.columns / BLOCK, BLOCK]),
  ]);
  const sums = builder.op("ReduceSum", [blocked, builder.integers([2])], {
    attributes: { keepdims: { int: 0 } },
  });
  return builder.op("Gemm", [sums, offsets, product]);
}

function multiplyPacked(
  builder: GraphBuilder,
  rows: Value,
  { weight, values, scales, zeroPoints }: DeclaredBlocks,
  arithmetic: FixedArithmetic,
): Value {
  const inputs = [rows, values, scales];
  if (zeroPoints !== "") inputs.push(zeroPoints);
  return builder.op("MatMulNBits", inputs, {
    domain: MICROSOFT,
    attributes: {
      K: { int: weight.columns },
      N: { int: weight.rows },
      bits: { int: weight.bits },
      block_size: { int: BLOCK },
      accuracy_level: { int: ACCURACY_LEVEL[arithmetic] },
    },
  });
}
