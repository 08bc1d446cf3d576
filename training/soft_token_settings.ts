import { TrainingError } from "./errors.ts";

/** What every training of soft tokens is told: how many, on which examples, and how fast. */
export interface SoftTokenSettings {
  /** Soft tokens. */
  readonly tokens: number;
  /** Examples trained on; those for validation come on top. */
  readonly samples: number;
  /** How often each example is visited. */
  readonly epochs: number;
  /** Examples of one optimiser step. */
  readonly batch: number;
  /** Highest learning rate. */
  readonly rate: number;
  /** Share of the steps in which the learning rate rises to its highest. */
  readonly warmup: number;
  /** Largest norm of a step's gradient. */
  readonly clip: number;
  /** Whose answers: the model's own, or those of the data where there are any. */
  readonly responses: "self" | "original";
  /** Most tokens of an answer. */
  readonly responseTokens: number;
  /** Longer prompts are left out. */
  readonly maxPromptTokens: number;
  /** Where the embeddings start: `random`, `words`, or the path of a file of soft tokens. */
  readonly initial: string;
  /** Seed of every random choice. */
  readonly seed: number;
  /** Examples held out to measure with. */
  readonly validate: number;
}

/**
 * Checks what every training of soft tokens is told, before any work is done for it.
 *
 * @throws {TrainingError} If something is out of range.
 */
export function checkSoftTokenSettings(settings: SoftTokenSettings): void {
  const { tokens, clip, warmup, initial } = settings;
  demandWhole("tokens", tokens);
  demand("tokens", tokens, "at most 1024", tokens <= 1024);
  demandWhole("samples", settings.samples);
  demandWhole("epochs", settings.epochs);
  demandWhole("batch", settings.batch);
  demandWhole("responseTokens", settings.responseTokens);
  demandWhole("maxPromptTokens", settings.maxPromptTokens);
  demandWhole("seed", settings.seed, 0);
  demandWhole("validate", settings.validate, 0);
  demandAbove0("rate", settings.rate);
  demand("clip", clip, "above 0", clip > 0);
  demand("warmup", warmup, "a share of the steps from 0 to 1", warmup >= 0 && warmup <= 1);
  demand("initial", initial, "random, words or the path of a file", initial.trim() !== "");
}

/** Optimiser steps of a run; the last batch may be short of examples, and then begins the next round. */
export function stepsOf(
  { epochs, batch }: Pick<SoftTokenSettings, "epochs" | "batch">,
  examples: number,
): number {
  return Math.ceil((examples * epochs) / batch);
}

/**
 * Checks a number that counts something.
 *
 * @throws {TrainingError} If it is no integer or below `min`.
 */
export function demandWhole(option: string, value: number, min = 1): void {
  const holds = Number.isSafeInteger(value) && value >= min;
  demand(option, value, `an integer of at least ${min}`, holds);
}

/** The same for one that measures something. */
export function demandAbove0(option: string, value: number): void {
  demand(option, value, "a finite number above 0", value > 0 && Number.isFinite(value));
}

/** Refuses what does not hold. */
export function demand(option: string, value: unknown, bound: string, holds: boolean): void {
  if (holds) return;
  throw new TrainingError(`Cannot train: '${option}' must be ${bound}, got ${value}`, {
    options: [option],
  });
}
