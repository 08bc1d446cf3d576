import { cast } from "./onnx/cast.ts";
import { type GraphBuilder, MICROSOFT, type Value } from "./onnx/graph.ts";
import {
  BLOCK,
  type BlockWeight,
  declareBlocks,
  declareFloat,
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

/** Declares the embedding matrix once for both of its uses. */
export function declareEmbedding(graph: GraphBuilder, weight: Weight): EmbeddingRows {
  if (weight.kind === "blocks") return blockRows(graph, weight);
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

function blockRows(graph: GraphBuilder, weight: BlockWeight): EmbeddingRows {
  if (weight.bits !== 8 || weight.offsets) {
    throw new TypeError("Cannot look up rows of a 4-bit embedding matrix: store it in 8 bits");
  }
  const declared = declareBlocks(graph, weight);
  const blocks = Math.ceil(weight.columns / BLOCK);
  return {
    lookUp(builder, ids) {
      const perBlock = (value: Value) => {
        const table = builder.op("Reshape", [
          value,
          builder.integers([weight.rows, blocks, 1]),
        ]);
        return builder.op("Gather", [table, ids]);
      };
      const toFloat = (value: Value) => cast(builder, value, "float32");
      const values = toFloat(builder.op("Gather", [declared.values, ids]));
      const zero = declared.zeroPoints === ""
        ? builder.constant(Float32Array.of(128), [])
        : toFloat(perBlock(declared.zeroPoints));
      const rows = builder.op("Mul", [
        builder.op("Sub", [values, zero]),
        perBlock(declared.scales),
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
