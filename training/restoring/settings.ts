import { checkSoftTokenSettings, demand, type SoftTokenSettings } from "../soft_token_settings.ts";

/** What soft tokens that restore are trained to. */
export interface RestoringSettings extends SoftTokenSettings {
  /** Smallest and largest share of a prompt that stays. */
  readonly ratios: readonly [least: number, most: number];
}

/** Those of the paper where it names them; answers are short. */
export const RESTORING_DEFAULTS: RestoringSettings = Object.freeze({
  tokens: 8,
  samples: 200,
  epochs: 1,
  batch: 1,
  rate: 0.003,
  warmup: 0.05,
  clip: 1,
  ratios: [0.1, 0.5] as const,
  responseTokens: 24,
  responses: "self",
  maxPromptTokens: 512,
  initial: "words",
  seed: 0,
  validate: 16,
});

/**
 * Refuses settings that are out of range, before any work is done.
 *
 * @throws {TrainingError} If one is.
 */
export function checkRestoring(settings: RestoringSettings): void {
  checkSoftTokenSettings(settings);
  const [least, most] = settings.ratios;
  const inside = least > 0 && least <= most && most < 1;
  const bound = "two shares above 0 and below 1, the smaller first";
  demand("ratios", `${least} and ${most}`, bound, inside);
}
