import type { DeviceTensor } from "../../../kernels/device/device.ts";
import type { LentNetworks, SurrogateKernels } from "../../../kernels/device/surrogates.ts";
import type { SurrogateLayer } from "../../../policies/policy.ts";
import type { LayerInputs, PredictedScores } from "../predicted_scores.ts";
import { deviceRows, type RowContext, tensorOf } from "./device_rows.ts";

/** Scores on a device: what networks read and what they predict stays there. */
export function predictedThere(
  networks: readonly SurrogateLayer[],
  kernels: SurrogateKernels,
  context: RowContext,
): PredictedScores {
  let lent: LentNetworks | undefined;
  let scores: DeviceTensor | undefined;
  let read = 0;
  return {
    async add(inputs, tokens) {
      lent ??= await kernels.lend(networks);
      const more = await kernels.scores(lent, inputsThere(inputs), scores);
      scores?.[Symbol.dispose]();
      scores = more;
      read += tokens;
    },
    async rows(layer, lengths, earlier) {
      const before = lengths.map((length) => Math.max(0, length - read));
      const known = earlier &&
        before.map((held, head) => Math.min(held, earlier.lengths[head] ?? 0));
      const tensor = await kernels.rows({
        ...{ scores, layer, lengths, before },
        earlier: earlier && known && { rows: tensorOf(earlier), known },
      });
      return deviceRows(tensor, lengths, context);
    },
    [Symbol.dispose]() {
      scores?.[Symbol.dispose]();
      scores = undefined;
      lent?.[Symbol.dispose]();
      lent = undefined;
    },
  };
}

/** The tensor of inputs that a device gave. */
function inputsThere(inputs: LayerInputs): DeviceTensor {
  if (inputs.home === "device") return inputs.tensor;
  throw new TypeError("Cannot work with inputs in main memory: take those of this engine's steps");
}
