import { SOFT_TOKENS_TENSOR } from "../runtime/soft_tokens/read.ts";
import { type AdamState, createAdam } from "./optimiser/adam.ts";
import type { TrainingSettings } from "./settings.ts";
import { adaptersOf, type Tensors } from "./trainable.ts";

/** Adam on the soft tokens, and on the adapters with a learning rate of their own. */
export interface Optimisers {
  /** Changes the tensors in place; `factor` is where the schedule stands, from 0 to 1. */
  step(tensors: Tensors, gradients: Tensors, factor: number): void;
  exportState(): AdamState;
}

// Gradients of the mean squared error are around 1e-7: the usual 1e-8 would slow them down.
const EPSILON = 1e-14;

/** Starts both, or goes on from an exported state. */
export function createOptimisers(
  { rate, adapters }: Pick<TrainingSettings, "rate" | "adapters">,
  state: AdamState,
): Optimisers {
  const parts = [
    { pick: softTokensOf, rate },
    ...(adapters ? [{ pick: adaptersOf, rate: adapters.rate }] : []),
  ].map((part) => {
    const adam = createAdam({ epsilon: EPSILON });
    const { step, first, second } = state;
    if (step > 0) adam.importState({ step, first: part.pick(first), second: part.pick(second) });
    return { ...part, adam };
  });
  return {
    step(tensors, gradients, factor) {
      for (const { pick, rate, adam } of parts) {
        adam.step(pick(tensors), pick(gradients), factor * rate);
      }
    },
    exportState() {
      const states = parts.map(({ adam }) => adam.exportState());
      return {
        step: states[0]?.step ?? 0,
        first: Object.assign({}, ...states.map(({ first }) => first)),
        second: Object.assign({}, ...states.map(({ second }) => second)),
      };
    },
  };
}

function softTokensOf({ [SOFT_TOKENS_TENSOR]: softTokens }: Tensors): Tensors {
  return softTokens ? { [SOFT_TOKENS_TENSOR]: softTokens } : {};
}
