/**
 * Trains the soft tokens that Judge Q and LookaheadKV judge with, and reads and writes their files.
 *
 * @example Where a training starts
 * ```ts
 * import { DEFAULT_SETTINGS, type TrainingSettings } from "./mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const settings: TrainingSettings = { ...DEFAULT_SETTINGS, tokens: 16, samples: 200 };
 * assertEquals(settings.loss, "kl");
 * ```
 *
 * @module
 */
export { type TrainingRequest, type TrainingWatch, trainSoftTokens } from "./train.ts";
export { type AdapterSettings, DEFAULT_SETTINGS, type TrainingSettings } from "./settings.ts";
export type { SoftTokenSettings } from "./soft_token_settings.ts";
export type { TrainingResult } from "./result.ts";
export type { RunPaths } from "./run_files.ts";
export type { StepReport } from "./optimise.ts";
export type { Validation } from "./validation.ts";
export { TrainingError } from "./errors.ts";
export type { MapKind } from "./target.ts";
export type { Projection } from "../kernels/adapters.ts";
export { parseCard, type SoftTokenCard, writeSoftTokens } from "../runtime/soft_tokens/card.ts";
export { readSoftTokens } from "../runtime/soft_tokens/read.ts";
