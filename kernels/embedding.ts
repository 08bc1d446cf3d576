import { cast } from "./onnx/cast.ts";
import { type GraphBuilder, MICROSOFT, type Value } from "./onnx/graph.ts";
import {
  BLOCK,
  type BlockWeight,
  declareBlocks,
  declareFloat,
  MIDDLE,
  multiplyBlocks,
  type Product,
  type Weight,
} from "./weight.ts";

/** The embedding matrix: row look-up, and the product with it for tied output matrices. */
export interface EmbeddingRows {
  /** Rows of token ids, `[S] → [S, hidden]`. */
  lookUp(builder: GraphBuilder, ids: Value): Value;
  readonly product: Product;
}

/** Rows that were looked up, as the first layer takes them. */
export function scaledRows(
  builder: GraphBuilder,
  { embeddingScale }: { readonly embeddingScale: number },
  rows: Value,
): Value {
  if (embeddingScale === 1) return rows;
  return builder.op("Mul", [rows, builder.constant(Float32Array.of(embeddingScale), [])]);
}

/**
 * Declares the embedding matrix for both of its uses.
 *
 * @param apart Whether rows are looked up in the file, so that the product may pack the matrix anew and
 * let go of it: right where files are mapped into memory. @default {false}
 */
export function declareEmbedding(
  graph: GraphBuilder,
  weight: Weight,
  apart = false,
): EmbeddingRows {
  if (weight.kind === "blocks") return blockRows(graph, weight, apart);
  const matrix = declareFloat(graph, weight);
  return {
    lookUp: (builder, ids) => builder.op("Gather", [matrix, ids]),
    product: (builder, rows) =>
      builder.op("FusedMatMul", [rows, matrix], {
        domain: MICROSOFT,
        attributes: { transB: { int: 1 } },
      }),
  };
}

function blockRows(graph: GraphBuilder, weight: BlockWeight, apart: boolean): EmbeddingRows {
  if (weight.bits !== 8 || weight.offsets) {
    throw new TypeError("Cannot look up rows of a 4-bit embedding matrix: store it in 8 bits");
  }
  const declared = declareBlocks(graph, weight);
  const blocks = Math.ceil(weight.columns / BLOCK);
  return {
    lookUp(builder, ids) {
      const perRow = (table: Value) =>
        builder.op("Reshape", [table, builder.integers([weight.rows, blocks])]);
      const { values, scales, zeroPoints } = apart ? declared.unpacking() : {
        values: declared.values,
        scales: perRow(declared.scales),
        zeroPoints: declared.zeroPoints === "" ? "" : perRow(declared.zeroPoints),
      };
      const inBlocks = (table: Value, width: number) =>
        builder.op("Reshape", [
          builder.op("Gather", [table, ids]),
          builder.integers([-1, blocks, width]),
        ]);
      const toFloat = (value: Value) => cast(builder, value, "float32");
      const zero = zeroPoints === ""
        ? builder.constant(Float32Array.of(MIDDLE), [])
        : toFloat(inBlocks(zeroPoints, 1));
      const rows = builder.op("Mul", [
        builder.op("Sub", [toFloat(inBlocks(values, BLOCK)), zero]),
        inBlocks(scales, 1),
      ]);
      const padded = builder.op("Reshape", [rows, builder.integers([-1, blocks * BLOCK])]);
      if (weight.columns === blocks * BLOCK) return padded;
      return builder.op("Slice", [
        padded,
        builder.integers([0]),
        builder.integers([weight.columns]),
        builder.integers([1]),
      ]);
    },
    product: (builder, rows, arithmetic) => multiplyBlocks(builder, rows, declared, arithmetic),
  };
}
