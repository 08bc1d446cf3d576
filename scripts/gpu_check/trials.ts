import type { BigFormat } from "../big_checkpoint/write.ts";
import type { SessionChoice } from "./raw_step.ts";

/** A way to load and run the step graph. */
export interface Trial {
  readonly name: string;
  /** Layers that are left of the model. @default {all} */
  readonly layers?: number;
  /** Tokens that are held. @default {512} */
  readonly held?: number;
  /** Tokens of a step. @default {1} */
  readonly tokens?: number;
  /** @default {"q4_0"} */
  readonly format?: BigFormat;
  /** Steps are profiled instead of timed. @default {false} */
  readonly profile?: boolean;
  readonly choice: SessionChoice;
}

/**
 * Trials, those that tell most first. The binding for Node takes no other options of the provider: it
 * refuses graph capture and 64-bit integers, and hands entries over when the provider is made already.
 */
export const TRIALS: readonly Trial[] = [
  { name: "as it is", choice: {} },
  { name: "one layer", layers: 1, choice: {} },
  { name: "profile", profile: true, choice: {} },
  { name: "no robustness", choice: { provider: { enableRobustness: false } } },
  { name: "no validation", choice: { provider: { validationMode: "disabled" } } },
  { name: "4096 held", held: 4096, choice: {} },
  { name: "256 tokens", tokens: 256, choice: {} },
  { name: "profile, 256 tokens", tokens: 256, profile: true, choice: {} },
  {
    name: "no robustness, no validation",
    choice: { provider: { enableRobustness: false, validationMode: "disabled" } },
  },
  { name: "16-bit weights", format: "f16", choice: {} },
  { name: "profile, 4096 held", profile: true, held: 4096, choice: {} },
  { name: "half of the layers", layers: 12, choice: {} },
  { name: "simple buffer cache", choice: { provider: { storageBufferCacheMode: "simple" } } },
  { name: "lazy buffer cache", choice: { provider: { storageBufferCacheMode: "lazyRelease" } } },
  { name: "no buffer cache", choice: { provider: { storageBufferCacheMode: "disabled" } } },
  { name: "uniforms in buckets", choice: { provider: { uniformBufferCacheMode: "bucket" } } },
  { name: "NHWC", choice: { provider: { preferredLayout: "NHWC" } } },
  { name: "no optimisation", choice: { graphOptimizationLevel: "disabled" } },
  {
    name: "spinning threads",
    choice: { intraOpNumThreads: 4, entries: { "session.intra_op.allow_spinning": "1" } },
  },
];
