import { createGraph, type Graph } from "../onnx/graph.ts";
import type { Device, DeviceOutputs, DeviceTensor } from "./device.ts";
import { inBlocks, likeliest } from "./likeliest_token.ts";
import { loadedOnDemand } from "./on_demand.ts";
import { createScratch } from "./scratch.ts";

/** What of the logits of one token is wanted: all of them, only which token is likeliest, or nothing. */
export type WantedLogits = "logits" | "likeliest" | "nothing";

/** What is brought of a step's logits. */
export interface SeenLogits {
  /** None where nothing of them is wanted, or the likeliest token is enough. */
  readonly logits: Float32Array;
  /** Id of the likeliest token, where it is enough. */
  readonly likeliest?: number;
}

/** Logits that stay where they are because less of them is wanted. Owns the room that they lie in. */
export interface UnseenLogits extends AsyncDisposable {
  /**
   * What a step writes its logits into, and what of them is brought when it has. The caller disposes of it.
   *
   * @param rows Tokens whose logits it gives: those of several are brought in any case.
   */
  roomFor(
    inputs: { readonly next?: WantedLogits; readonly rows: readonly number[] },
  ): Promise<LogitsRoom>;
}

/** Where a step's logits go. */
export interface LogitsRoom extends Disposable {
  /** Outputs of the step that are written into tensors. */
  readonly into: Readonly<Record<string, DeviceTensor>>;
  seen(outputs: DeviceOutputs): Promise<SeenLogits>;
}

/**
 * Makes no room yet.
 *
 * @param checked Whether it is always looked whether the logits are numbers: 16-bit floats overflow.
 */
export function createUnseenLogits(
  device: Device,
  vocabulary: number,
  checked: boolean,
): UnseenLogits {
  const kernels = loadedOnDemand(device);
  const scratch = createScratch(1, () => device.zeros([1, vocabulary]));
  const findGraph = () => likeliestGraph(vocabulary);
  const readGraph = () => broughtGraph(vocabulary);
  return {
    async roomFor({ next = "logits", rows }) {
      if (next === "logits" || rows.length !== 1) {
        const seen = (outputs: DeviceOutputs) =>
          Promise.resolve({ logits: outputs.floats("logits") });
        return { into: {}, seen, [Symbol.dispose]() {} };
      }
      const set = await scratch.take(vocabulary);
      const [logits] = set;
      if (!logits) throw new RangeError("There is no room for logits");
      return {
        into: { logits },
        async seen() {
          if (next === "nothing" && !checked) return { logits: new Float32Array(0) };
          const found = await kernels.run(findGraph, { logits });
          const [id, certain] = found.floats("told");
          if (certain === 1) return { logits: new Float32Array(0), likeliest: id ?? 0 };
          // Whoever asked sees what is wrong with them.
          return { logits: (await kernels.run(readGraph, { logits })).floats("brought") };
        },
        [Symbol.dispose]: () => scratch.giveBack(set),
      };
    },
    async [Symbol.asyncDispose]() {
      scratch[Symbol.dispose]();
      await kernels[Symbol.asyncDispose]();
    },
  };
}

function likeliestGraph(vocabulary: number): Graph {
  const graph = createGraph("likeliest_token");
  graph.input("logits", "float32", [1, vocabulary]);
  const { id, certain } = likeliest(graph, inBlocks(graph, "logits", vocabulary), vocabulary);
  graph.op("Concat", [id, certain], { attributes: { axis: { int: 0 } }, names: ["told"] });
  graph.output("told", "float32", [2]);
  return graph.build();
}

function broughtGraph(vocabulary: number): Graph {
  const graph = createGraph("bring_logits");
  graph.input("logits", "float32", [1, vocabulary]);
  graph.op("Identity", ["logits"], { names: ["brought"] });
  graph.output("brought", "float32", [1, vocabulary]);
  return graph.build();
}
