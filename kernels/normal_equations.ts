import { createGraph, type Graph } from "./onnx/graph.ts";
import { createKernel, floats, floatsOf } from "./session.ts";

/** Products that a least-squares fit needs. */
export interface ProductsKernel extends AsyncDisposable {
  /**
   * @param rows `[tokens, width]`.
   * @param targets `[tokens, count]`.
   * @returns `XᵀX [width, width]` and `XᵀY [width, count]`.
   */
  run(
    rows: Float32Array,
    targets: Float32Array,
    tokens: number,
  ): Promise<{ readonly squares: Float32Array; readonly products: Float32Array }>;
}

/** Loads the kernel. */
export async function createProductsKernel(
  width: number,
  count: number,
  threads: number,
): Promise<ProductsKernel> {
  const kernel = await createKernel(buildProducts(width, count), { threads });
  return {
    async run(rows, targets, tokens) {
      const { squares, products } = await kernel.run({
        rows: floats(rows, [tokens, width]),
        targets: floats(targets, [tokens, count]),
      });
      return { squares: floatsOf(squares), products: floatsOf(products) };
    },
    [Symbol.asyncDispose]: () => kernel[Symbol.asyncDispose](),
  };
}

function buildProducts(width: number, count: number): Graph {
  const graph = createGraph("products");
  graph.input("rows", "float32", ["T", width]);
  graph.input("targets", "float32", ["T", count]);
  const turned = graph.op("Transpose", ["rows"], { attributes: { perm: { ints: [1, 0] } } });
  graph.op("MatMul", [turned, "rows"], { names: ["squares"] });
  graph.op("MatMul", [turned, "targets"], { names: ["products"] });
  graph.output("squares", "float32", [width, width]);
  graph.output("products", "float32", [width, count]);
  return graph.build();
}
