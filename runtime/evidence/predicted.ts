import { createSurrogateKernel, type SurrogateKernel } from "../../kernels/surrogate.ts";
import type { Evidence, SurrogateLayer } from "../../policies/policy.ts";
import { globalLayers } from "../checkpoint/layer_kinds.ts";
import type { Engine } from "../engine/engine.ts";
import { EvidenceError } from "../errors.ts";
import { emptyRows } from "../engine/packed_rows.ts";

type Predicted = Extract<Evidence, { kind: "predicted" }>;

/** Scores that are predicted while tokens are read. Owns its kernels. */
export interface Predictions extends Disposable {
  /** Takes what layers' attention reads; absent where no evidence wants it. */
  readonly onInputs?:
    | ((inputs: readonly Float32Array[], tokens: number) => Promise<void>)
    | undefined;
  /**
   * Scores of all that a global layer holds, as rows of query heads: those of what was read just now behind those
   * of what was held. Tokens without a score rank above all others.
   *
   * @param lengths Tokens that each KV head holds.
   * @param earlier Rows of what was held, where they are known.
   */
  rows(
    evidence: Predicted,
    layer: number,
    lengths: readonly number[],
    earlier: Float32Array | undefined,
  ): Float32Array;
}

/** Scores of one set of networks: of each global layer those of each KV head, chunk by chunk. */
interface Scores {
  readonly networks: readonly SurrogateLayer[];
  readonly byLayer: readonly Float32Array[][];
}

/** Begins to predict what some policies want. */
export function predictScores(
  evidence: readonly Evidence[],
  { config, threads }: Pick<Engine, "config" | "threads">,
): Predictions {
  const { hidden, heads, kvHeads } = config;
  const group = heads / kvHeads;
  const globals = globalLayers(config).length;
  const wanted = evidence.flatMap((one) => one.kind === "predicted" ? [one] : []);
  const bySurrogate = new Map<Predicted["surrogate"], Scores>();
  for (const { surrogate } of wanted) {
    if (!surrogate || bySurrogate.has(surrogate)) continue;
    checkSurrogate(surrogate, { globals, hidden, kvHeads });
    bySurrogate.set(surrogate, {
      networks: surrogate,
      byLayer: Array.from({ length: globals }, () => []),
    });
  }
  const kernels = new Map<boolean, Promise<SurrogateKernel>>();
  const kernelFor = (deep: boolean) => {
    const known = kernels.get(deep) ?? createSurrogateKernel(hidden, deep, threads);
    kernels.set(deep, known);
    return known;
  };
  let read = 0;
  const onInputs = async (inputs: readonly Float32Array[], tokens: number): Promise<void> => {
    read += tokens;
    for (const { networks, byLayer } of bySurrogate.values()) {
      for (const [layer, rows] of inputs.entries()) {
        const network = networks[layer];
        if (!network) continue;
        const { run } = await kernelFor(network.inner !== undefined);
        byLayer[layer]?.push(await run(rows, network));
      }
    }
  };
  return {
    ...(bySurrogate.size > 0 ? { onInputs } : {}),
    rows({ surrogate }, layer, lengths, earlier) {
      const chunks = bySurrogate.get(surrogate)?.byLayer[layer] ?? [];
      const all = emptyRows(group, lengths);
      const total = lengths.reduce((sum, length) => sum + length, 0);
      // All heads have got the same number of tokens since.
      const since = (total - (earlier?.length ?? 0) / group) / lengths.length;
      let [to, from] = [0, 0];
      for (const [head, length] of lengths.entries()) {
        const before = Math.max(0, length - read);
        const known = earlier ? length - since : 0;
        for (let row = 0; row < group; row++) {
          const ofRow = all.subarray(to, to + length);
          if (before > 0) {
            ofRow.fill(surrogate ? Infinity : 0, 0, before);
            if (earlier) ofRow.set(earlier.subarray(from, from + Math.min(before, known)));
          }
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
      return all;
    },
    [Symbol.dispose]() {
      for (const kernel of kernels.values()) {
        void kernel.then((one) => one[Symbol.asyncDispose](), () => {});
      }
    },
  };
}

function checkSurrogate(
  surrogate: readonly SurrogateLayer[],
  { globals, hidden, kvHeads }: {
    readonly globals: number;
    readonly hidden: number;
    readonly kvHeads: number;
  },
): void {
  const fits = surrogate.length === globals && surrogate.every(({ inner, output }) => {
    const width = inner ? inner.bias.length : hidden;
    return (!inner || inner.weight.length === width * hidden) &&
      output.bias.length === kvHeads && output.weight.length === kvHeads * width;
  });
  if (fits) return;
  throw new EvidenceError(
    `Cannot predict scores: the networks must be ${globals}, one for each layer that can be evicted, from ` +
      `${hidden} numbers to ${kvHeads} scores; use networks that were trained for this model`,
  );
}
