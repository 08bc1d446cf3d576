import { assertEquals, assertThrows } from "@std/assert";
import { withoutFusedMatMul } from "../../../kernels/device/gemm.ts";
import {
  createGraph,
  type Graph,
  type GraphBuilder,
  MICROSOFT,
} from "../../../kernels/onnx/graph.ts";
import { createKernel, flag, floats, floatsOf } from "../../../kernels/session.ts";
import { assertClose, noise } from "../../_close.ts";
import { product } from "../_weight_file.ts";

const [TOKENS, COLUMNS, ROWS] = [3, 10, 7];

function fused(builder: GraphBuilder, attributes = {}, names: readonly string[] = []): string {
  return builder.op("FusedMatMul", ["x", "w"], {
    domain: MICROSOFT,
    attributes: { transB: { int: 1 }, ...attributes },
    names,
  });
}

function withInputs(name: string): GraphBuilder {
  const graph = createGraph(name);
  graph.input("x", "float32", ["S", COLUMNS]);
  graph.input("w", "float32", [ROWS, COLUMNS]);
  return graph;
}

/** Operators of a graph and of its branches. */
function operators({ nodes }: Graph): string[] {
  return nodes.flatMap(({ operator, attributes }) => [
    operator,
    ...Object.values(attributes).flatMap((one) => "graph" in one ? operators(one.graph) : []),
  ]);
}

Deno.test("withoutFusedMatMul() gives the same products, in branches as well", async () => {
  const graph = withInputs("products");
  graph.input("doubled", "bool", []);
  const branch = (alpha: number): Graph => {
    const inner = graph.branch("product");
    inner.output(fused(inner, { alpha: { float: alpha } }), "float32", ["S", ROWS]);
    return inner.build();
  };
  fused(graph, {}, ["plain"]);
  graph.ops("If", ["doubled"], 1, {
    names: ["scaled"],
    attributes: { then_branch: { graph: branch(2) }, else_branch: { graph: branch(-0.5) } },
  });
  graph.output("plain", "float32", ["S", ROWS]);
  graph.output("scaled", "float32", ["S", ROWS]);
  const rewritten = withoutFusedMatMul(graph.build());
  assertEquals(operators(rewritten), ["Gemm", "If", "Gemm", "Gemm"]);

  const [x, w] = [noise(TOKENS * COLUMNS, 1), noise(ROWS * COLUMNS, 2)];
  const expected = product(x, w, COLUMNS);
  await using kernel = await createKernel(rewritten);
  for (const [doubled, alpha] of [[true, 2], [false, -0.5]] as const) {
    const { plain, scaled } = await kernel.run({
      x: floats(x, [TOKENS, COLUMNS]),
      w: floats(w, [ROWS, COLUMNS]),
      doubled: scalar(doubled),
    });
    assertClose(floatsOf(plain), expected, { absolute: 1e-5 });
    assertClose(floatsOf(scaled), expected.map((value) => value * alpha), { absolute: 1e-5 });
  }
});

/** A boolean without a shape. */
function scalar(value: boolean) {
  return flag(value).reshape([]);
}

Deno.test("withoutFusedMatMul() refuses products that Gemm cannot compute", () => {
  for (const attribute of ["transA", "transBatchA", "transBatchB"]) {
    const graph = withInputs("products");
    fused(graph, { [attribute]: { int: 1 } });
    assertThrows(
      () => withoutFusedMatMul(graph.build()),
      RangeError,
      `Cannot run FusedMatMul with '${attribute}' on a device`,
    );
  }
});

Deno.test("withoutFusedMatMul() leaves all else as it is", () => {
  const graph = withInputs("others");
  graph.op("Gemm", ["x", "w"], { attributes: { transB: { int: 1 } }, names: ["y"] });
  graph.output("y", "float32", ["S", ROWS]);
  const built = graph.build();
  assertEquals(withoutFusedMatMul(built), built);
});
