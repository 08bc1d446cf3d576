import { createProductsKernel, type ProductsKernel } from "../../kernels/normal_equations.ts";
import { kvZipPlus } from "../../policies/kvzip_plus.ts";
import type { ModelFacts } from "../../policies/policy.ts";
import { globalLayers } from "../../runtime/checkpoint/layer_kinds.ts";
import { inputsHere } from "../../runtime/engine/host/predicted_scores.ts";
import { prefill } from "../../runtime/engine/prefill.ts";
import { emptySequence } from "../../runtime/engine/sequence.ts";
import { replayedAttention } from "../../runtime/evidence/replay.ts";
import type { Model } from "../../runtime/model.ts";
import { TrainingError } from "../errors.ts";
import type { TrainingPrompt } from "../prompts.ts";
import type { Calibration, Measurement } from "./calibrate.ts";
import { linearSums } from "./least_squares.ts";

/** Shares below are as good as none: their logarithm would rule the fit. */
const LEAST_SHARE = 1e-8;

/** Each so many prompts one is not fitted to, and measured. */
const VALIDATED = 5;

/** Share of the mean square that is added to the diagonal. */
const RIDGE = 1e-3;

/**
 * Fits, for `kvzap`, a linear function for each layer from what its attention reads for a token to the logarithm
 * of the token's KVzip+ score, by least squares. A fifth of the prompts is held out.
 */
export function kvZapCalibration(): Calibration {
  return { kind: "kvzap", begin: measurement };
}

function measurement({ engine }: Model, facts: ModelFacts): Measurement {
  const { evidence } = kvZipPlus();
  if (evidence.kind !== "replay") throw new RangeError("KVzip+ repeats the text");
  const { config, threads } = engine;
  const { hidden, heads, kvHeads } = config;
  const group = heads / kvHeads;
  const layers = globalLayers(config).length;
  const sums = () => Array.from({ length: layers }, () => linearSums(hidden, kvHeads));
  const [fitted, held] = [sums(), sums()];
  let [prompts, tokens] = [0, 0];
  const add = async (
    { ids }: TrainingPrompt,
    signal: AbortSignal | undefined,
    products: ProductsKernel,
  ): Promise<void> => {
    const into = prompts++ % VALIDATED === VALIDATED - 1 ? held : fitted;
    tokens += ids.length;
    using cache = engine.newCache();
    const sequence = emptySequence(cache);
    const inputs = Array.from({ length: layers }, () => new Float32Array(ids.length * hidden));
    let read = 0;
    await prefill(engine, sequence, ids, {
      chunk: engine.chunk,
      observe: "none",
      onInputs: (chunk, count) => {
        for (const [layer, rows] of inputsHere(chunk).entries()) {
          inputs[layer]?.set(rows, read * hidden);
        }
        read += count;
        return Promise.resolve();
      },
      signal,
    });
    using scope = new DisposableStack();
    const request = { engine, sequence, facts, text: ids, scope, signal };
    const most = await replayedAttention(evidence, request);
    for (const [layer, rows] of inputs.entries()) {
      const shares = await most[layer]?.floats() ?? new Float32Array();
      const values = new Float32Array(ids.length * kvHeads);
      for (let head = 0; head < kvHeads; head++) {
        for (let token = 0; token < ids.length; token++) {
          let share = LEAST_SHARE;
          for (let row = head * group; row < (head + 1) * group; row++) {
            share = Math.max(share, shares[row * ids.length + token] ?? 0);
          }
          values[token * kvHeads + head] = Math.log(share);
        }
      }
      const made = await products.run(rows, values, ids.length);
      into[layer]?.add({ ...made, rows, values });
    }
  };
  return {
    async add(prompt, signal) {
      await using products = await createProductsKernel(hidden, kvHeads, threads);
      await add(prompt, signal, products);
    },
    finish() {
      if (prompts === 0) throw new TrainingError("Cannot train kvzap: there is no prompt");
      const fits = fitted.map((layer) => layer.solve(RIDGE));
      const tensors = Object.fromEntries(fits.flatMap(({ weight, bias }, layer) => [
        [`layers.${layer}.weight`, { shape: [kvHeads, hidden], data: weight }],
        [`layers.${layer}.bias`, { shape: [kvHeads], data: bias }],
      ]));
      const explained = (of: typeof fitted) => {
        const shares = of.flatMap((layer, index) => {
          const fit = fits[index];
          return fit ? layer.explained(fit) : [];
        });
        return (shares.reduce((sum, share) => sum + share, 0) / shares.length).toFixed(3);
      };
      return {
        tensors,
        card: {
          kind: "linear",
          tokens: `${tokens}`,
          r2: explained(fitted),
          ...(prompts >= VALIDATED ? { r2_held_out: explained(held) } : {}),
        },
      };
    },
  };
}
