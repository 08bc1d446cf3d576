import * as ort from "npm:onnxruntime-node@1.30.0";
import { fileURLToPath } from "node:url";
import { encodeModel } from "../kernels/onnx/encode.ts";
import type { Graph } from "../kernels/onnx/graph.ts";
import { locatedFiles } from "../kernels/session.ts";
import { softwareVulkan } from "./_vulkan.ts";

/**
 * Operators of a graph that onnxruntime computes on the processor although the graph was loaded on
 * `webgpu`, sorted, once for each node. Their inputs and outputs cross at every run, unseen by us.
 */
export async function onProcessor(graph: Graph): Promise<string[]> {
  const { folder, graph: located } = locatedFiles(graph);
  const model = await Deno.makeTempFile({ suffix: ".onnx" });
  try {
    await Deno.writeFile(model, encodeModel(located));
    // Only the log says it, which native code writes to the standard error of its process.
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--quiet", fileURLToPath(import.meta.url), model, folder],
      env: { NO_COLOR: "1", ...softwareVulkan() },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    const log = new TextDecoder().decode(stderr);
    if (code !== 0) throw new Error(`Cannot load ${graph.name}: ${log.slice(-2000)}`);
    return processorNodes(log, graph).sort();
  } finally {
    await Deno.remove(model);
  }
}

function processorNodes(log: string, graph: Graph): string[] {
  const found: string[] = [];
  let provider: string | undefined;
  for (const line of log.split("\n")) {
    if (!line.includes("VerifyEachNodeIsAssignedToAnEp]")) {
      provider = undefined;
      continue;
    }
    const heading = /(All nodes|Node\(s\)) placed on \[(\w+)\]/.exec(line);
    const node = /\] {3}(\w+) \(/.exec(line);
    if (heading) provider = heading[2];
    if (provider !== "CPUExecutionProvider") continue;
    // Nodes are not listed where all are in one place.
    if (heading?.[1] === "All nodes") found.push(...graph.nodes.map(({ operator }) => operator));
    if (node?.[1] !== undefined) found.push(node[1]);
  }
  return found;
}

if (import.meta.main) {
  const [model = "", folder = ""] = Deno.args;
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ["webgpu"],
    logSeverityLevel: 0,
    extra: { session: { model_external_initializers_file_folder_path: folder } },
  });
  await session.release();
  Deno.exit(0);
}
