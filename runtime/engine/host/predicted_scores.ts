import { createSurrogateKernel, type SurrogateKernel } from "../../../kernels/surrogate.ts";
import type { SurrogateLayer } from "../../../policies/policy.ts";
import type { ModelConfig } from "../../checkpoint/checkpoint.ts";
import { emptyRows } from "../packed_rows.ts";
import type { LayerInputs, PredictedScores } from "../predicted_scores.ts";
import { hostRows } from "./host_rows.ts";

/** Scores in main memory. Owns its kernels. */
export function predictedHere(
  networks: readonly SurrogateLayer[],
  { hidden, heads, kvHeads }: Pick<ModelConfig, "hidden" | "heads" | "kvHeads">,
  threads: number,
): PredictedScores {
  const group = heads / kvHeads;
  /** Of each layer those of each KV head, chunk by chunk. */
  const byLayer = networks.map((): Float32Array[] => []);
  const kernels = new Map<boolean, Promise<SurrogateKernel>>();
  const kernelFor = (deep: boolean) => {
    const known = kernels.get(deep) ?? createSurrogateKernel(hidden, deep, threads);
    kernels.set(deep, known);
    return known;
  };
  let read = 0;
  return {
    async add(inputs, tokens) {
      read += tokens;
      for (const [layer, rows] of inputsHere(inputs).entries()) {
        const network = networks[layer];
        if (!network) continue;
        const { run } = await kernelFor(network.inner !== undefined);
        byLayer[layer]?.push(await run(rows, network));
      }
    },
    async rows(layer, lengths, earlier) {
      const chunks = byLayer[layer] ?? [];
      const all = emptyRows(group, lengths);
      const held = await earlier?.floats();
      let [to, from] = [0, 0];
      for (const [head, length] of lengths.entries()) {
        const before = Math.max(0, length - read);
        const known = earlier?.lengths[head] ?? 0;
        for (let row = 0; row < group; row++) {
          const ofRow = all.subarray(to, to + length);
          ofRow.fill(Infinity, 0, before);
          if (held) ofRow.set(held.subarray(from, from + Math.min(before, known)));
          let at = before;
          for (const chunk of chunks) {
            const tokens = chunk.length / kvHeads;
            const ofHead = chunk.subarray(head * tokens, (head + 1) * tokens);
            ofRow.set(ofHead.subarray(0, length - at), at);
            at += tokens;
          }
          to += length;
          from += known;
        }
      }
      return hostRows(all, lengths, group);
    },
    [Symbol.dispose]() {
      for (const kernel of kernels.values()) {
        void kernel.then((one) => one[Symbol.asyncDispose](), () => {});
      }
    },
  };
}

/** What layers in main memory read. */
export function inputsHere(inputs: LayerInputs): readonly Float32Array[] {
  if (inputs.home === "host") return inputs.byLayer;
  throw new TypeError("Cannot work with inputs on a device: take those of this engine's steps");
}
