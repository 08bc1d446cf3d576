import type { LayerView, Policy, ScorerPolicy } from "../../policies/policy.ts";
import type { PolicyFactory } from "../plugin.ts";
import { noiseLayer } from "./fake_layer.ts";

/** One thing that every policy does. */
export interface Check {
  /** Completes the sentence "a policy …". */
  readonly title: string;
  /** `true`: whoever does otherwise breaks no contract. */
  readonly advice?: boolean;
  /** What is wrong and the way out, if anything is. It may throw as well. */
  run(create: PolicyFactory): Promise<string | undefined>;
}

/** Tokens of the layers that policies are checked on. */
export const LENGTH = 96;

/** Layers of the model that policies are checked on. */
export const LAYERS = 3;

/** Budgets that leave room for what policies protect by default. */
export const BUDGETS: readonly number[] = [LENGTH / 2, LENGTH / 2 + 1, LENGTH - 1];

/** Head counts of MHA, GQA with odd sizes, and MQA. */
const SHAPES = [
  { heads: 4, kvHeads: 4, headDim: 8 },
  { heads: 9, kvHeads: 3, headDim: 6 },
  { heads: 4, kvHeads: 1, headDim: 12 },
];

/** The first and the last layer of three models, new at every call. */
export function checkLayers(length = LENGTH): readonly LayerView[] {
  return SHAPES.flatMap((shape, seed) =>
    [0, LAYERS - 1].map((layer) =>
      noiseLayer({ ...shape, layer, layers: LAYERS, length, seed: seed * LAYERS + layer })
    )
  );
}

/** A layer in a few words. */
export function nameOf({ layer, kvHeads, length }: LayerView): string {
  return `layer ${layer} of ${kvHeads} KV heads and ${length} tokens`;
}

/** The policy where it scores. */
export function scorerOf(policy: Policy): ScorerPolicy | undefined {
  return "score" in policy ? policy : undefined;
}
