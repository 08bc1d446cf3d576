import type { Projection } from "../kernels/adapters.ts";
import { SEGMENTS } from "./answer_maps.ts";
import {
  checkSoftTokenSettings,
  demand,
  demandAbove0,
  demandWhole,
  type SoftTokenSettings,
} from "./soft_token_settings.ts";
import type { MapKind } from "./target.ts";

/** What the soft tokens are trained to. The defaults are those of {@linkcode DEFAULT_SETTINGS}. */
export interface TrainingSettings extends SoftTokenSettings {
  /** `mse`: Eq. 5 of the paper. `kl`: divergence of the two maps, each head's normalised. */
  readonly loss: "mse" | "kl";
  /**
   * What the attention of soft tokens is compared with: that of an answer's queries, as their `mean`
   * (the paper), the most that one pays (`max`), the mean of the four highest (`top`), or of each
   * quarter of the answer (`segments`, each compared with a quarter of the soft tokens); or the most
   * that the prompt gets while the model repeats it (`reconstruct`: KVzip's scores), for tokens that judge
   * before a question is known.
   */
  readonly target: MapKind | "reconstruct";
  /** Whether each query head is compared, or of the heads that share a KV head the mean or the largest. */
  readonly average: "heads" | "groups" | "max";
  /**
   * What `kl` normalises maps over: each head's own, or `all` of them together, so that soft tokens learn
   * which heads need how much as well.
   */
  readonly normalise: "heads" | "all";
  /** First tokens of a prompt that are not compared: sinks, which policies keep in any case. */
  readonly leaveFirst: number;
  /** Last ones, as the window that policies keep. */
  readonly leaveLast: number;
  /** Weights of the layers in the loss; `uniform`, or rising linearly towards the last layer. */
  readonly layerWeights: "uniform" | "rising" | "falling";
  /** Share of the examples that is code. */
  readonly codeShare: number;
  /** Low-rank weights that act on the soft tokens alone (LookaheadKV). Absent: none. */
  readonly adapters?: AdapterSettings;
}

/** Settings of low-rank weights. */
export interface AdapterSettings {
  /** Rank of the products. */
  readonly rank: number;
  /** Products that have one. */
  readonly projections: readonly Projection[];
  /** Highest learning rate of the adapters. */
  readonly rate: number;
}

/**
 * Settings in force where none are given.
 *
 * @example
 * ```ts
 * import { DEFAULT_SETTINGS } from "./settings.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals([DEFAULT_SETTINGS.tokens, DEFAULT_SETTINGS.epochs], [32, 2]);
 * ```
 */
export const DEFAULT_SETTINGS: TrainingSettings = {
  tokens: 32,
  samples: 1000,
  epochs: 2,
  batch: 2,
  rate: 0.01,
  warmup: 0.05,
  loss: "kl",
  target: "mean",
  average: "heads",
  normalise: "heads",
  leaveFirst: 0,
  leaveLast: 0,
  layerWeights: "uniform",
  responses: "self",
  responseTokens: 48,
  maxPromptTokens: 1536,
  codeShare: 0.1,
  initial: "words",
  seed: 0,
  validate: 32,
  clip: 1,
};

/**
 * Checks settings before any work is done for them.
 *
 * @throws {TrainingError} If one is out of range.
 */
export function checkSettings(settings: TrainingSettings): void {
  checkSoftTokenSettings(settings);
  const { tokens, codeShare, adapters } = settings;
  const groups = groupsOf(settings);
  demand("tokens", tokens, `a multiple of ${groups} for this target`, tokens % groups === 0);
  demand(
    "normalise",
    `${settings.normalise} with loss ${settings.loss}`,
    "heads where 'loss' is not kl",
    settings.normalise === "heads" || settings.loss === "kl",
  );
  demandWhole("leaveFirst", settings.leaveFirst, 0);
  demandWhole("leaveLast", settings.leaveLast, 0);
  demand("codeShare", codeShare, "from 0 to 1", codeShare >= 0 && codeShare <= 1);
  if (!adapters) return;
  const { rank, projections } = adapters;
  demandWhole("adapters.rank", rank);
  demandAbove0("adapters.rate", adapters.rate);
  const distinct = new Set(projections).size === projections.length && projections.length > 0;
  demand("adapters.projections", projections.join() || "none", "different products", distinct);
}

/** Groups of soft tokens, each compared for itself. */
export function groupsOf({ target }: Pick<TrainingSettings, "target">): number {
  return target === "segments" ? SEGMENTS : 1;
}
