import type { GraphBuilder } from "./onnx/graph.ts";
import { type BlockWeight, declareWeight, type Place, type Product } from "./weight.ts";

/** Rows of a piece: parts of all of its tensors then begin where a page does. */
const PIECE = 16_384;

/**
 * Declares a large matrix as several below one another, and returns the product with all of it. While a
 * matrix is packed, its file's bytes lie in memory beside the copy: of pieces those of one alone.
 */
export function declarePieces(builder: GraphBuilder, weight: BlockWeight): Product {
  const { rows, offsets } = weight;
  // Offsets lie block by block, so that no rows of them lie together.
  if (rows <= PIECE || offsets) return declareWeight(builder, weight);
  const products: Product[] = [];
  for (let from = 0; from < rows; from += PIECE) {
    products.push(declareWeight(builder, rowsOf(weight, from, Math.min(rows, from + PIECE))));
  }
  return (inner, factors, arithmetic) =>
    inner.op("Concat", products.map((product) => product(inner, factors, arithmetic)), {
      attributes: { axis: { int: 1 } },
    });
}

/** Some rows of a matrix without offsets. */
function rowsOf(weight: BlockWeight, from: number, to: number): BlockWeight {
  const part = ({ file, offset, length }: Place): Place => {
    const row = length / weight.rows;
    return { file, offset: offset + from * row, length: (to - from) * row };
  };
  const { values, scales, zeroPoints } = weight;
  return {
    ...weight,
    rows: to - from,
    values: part(values),
    scales: part(scales),
    ...(zeroPoints ? { zeroPoints: part(zeroPoints) } : {}),
  };
}
