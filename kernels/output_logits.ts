import type { GraphBuilder, Value } from "./onnx/graph.ts";
import { dividedRows } from "./shared_product.ts";
import { BLOCK, type Product, roundBlocks, type Weight } from "./weight.ts";

/**
 * The product with the output matrix, in two parts: what is multiplied follows from the branch that a
 * step takes, the product is one for all branches. The matrix is the largest of a small model, and every
 * product with it packs it anew when the graph is loaded.
 */
export interface OutputProduct {
  /**
   * Rows whose products add up to those of some rows.
   *
   * @param rows `[R, hidden]`.
   * @param twice Whether what is lost by rounding to bytes is multiplied as well: a product as exact as in
   * floats. A value of the graph where the step decides.
   * @returns `[F, hidden]`, where `F` is `R` or twice that.
   */
  factors(builder: GraphBuilder, rows: Value, twice: boolean | Value): Value;
  /**
   * Logits, `[R, vocabulary]`.
   *
   * @param count `R`, `[1]`.
   */
  logits(builder: GraphBuilder, factors: Value, count: Value): Value;
}

/** Divides the product with an output matrix in two. */
export function outputProduct(weight: Weight, product: Product): OutputProduct {
  const { rows: vocabulary, columns } = weight;
  if (weight.kind === "float" || columns % BLOCK !== 0) {
    return {
      factors: (_builder, rows) => rows,
      logits: (builder, factors) => product(builder, factors, "integer"),
    };
  }
  return {
    factors(builder, rows, twice) {
      if (twice === false) return rows;
      if (twice !== true) return dividedRows(builder, rows, columns, twice);
      const rounded = roundBlocks(builder, rows, columns);
      return builder.op("Concat", [rounded, builder.op("Sub", [rows, rounded])], {
        attributes: { axis: { int: 0 } },
      });
    },
    logits(builder, factors, count) {
      const products = product(builder, factors, "integer");
      const total = builder.op("Shape", [factors], {
        attributes: { start: { int: 0 }, end: { int: 1 } },
      });
      const added = builder.branch("twice");
      const [rounded = "", lost = ""] = added.ops("Split", [products], 2, {
        attributes: { axis: { int: 0 }, num_outputs: { int: 2 } },
      });
      added.output(added.op("Add", [rounded, lost]), "float32", ["R", vocabulary]);
      const plain = builder.branch("once");
      plain.output(plain.op("Identity", [products]), "float32", ["R", vocabulary]);
      const twice = builder.op("Squeeze", [
        builder.op("Greater", [total, count]),
        builder.integers([0]),
      ]);
      return builder.op("If", [twice], {
        attributes: {
          then_branch: { graph: added.build() },
          else_branch: { graph: plain.build() },
        },
      });
    },
  };
}
