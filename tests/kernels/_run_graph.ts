import { createGraph, type GraphBuilder } from "../../kernels/onnx/graph.ts";
import { createKernel, type Tensor } from "../../kernels/session.ts";

/** Builds a graph, runs it once and gives its outputs. */
export async function runGraph(
  feeds: Readonly<Record<string, Tensor>>,
  build: (graph: GraphBuilder) => void,
): Promise<Readonly<Record<string, Tensor>>> {
  const graph = createGraph("test");
  build(graph);
  await using kernel = await createKernel(graph.build());
  return await kernel.run(feeds);
}
