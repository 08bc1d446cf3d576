import { TrainingError } from "../errors.ts";
import { demandWhole } from "../settings.ts";

/** What soft tokens that restore are trained to. */
export interface RestoringSettings {
  /** Soft tokens. */
  readonly tokens: number;
  /** Examples to train on. */
  readonly samples: number;
  /** How often each is visited. */
  readonly epochs: number;
  /** Examples of one step. */
  readonly batch: number;
  /** Highest learning rate. */
  readonly rate: number;
  /** Share of the steps in which the rate rises. */
  readonly warmup: number;
  /** Largest norm of a gradient. */
  readonly clip: number;
  /** Smallest and largest share of a prompt that stays. */
  readonly ratios: readonly [least: number, most: number];
  /** Most tokens of an answer. */
  readonly responseTokens: number;
  /** The model's own answers, or the data's. */
  readonly responses: "self" | "original";
  /** Longer prompts are left out. */
  readonly maxPromptTokens: number;
  /** Start: `random`, `words`, or a file of soft tokens. */
  readonly initial: string;
  /** Seed of every random choice. */
  readonly seed: number;
  /** Examples held out. */
  readonly validate: number;
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
  for (
    const name of [
      "tokens",
      "samples",
      "epochs",
      "batch",
      "responseTokens",
      "maxPromptTokens",
    ] as const
  ) demandWhole(name, settings[name]);
  demandWhole("validate", settings.validate, 0);
  const [least, most] = settings.ratios;
  if (!(least > 0 && least <= most && most < 1)) {
    throw new TrainingError(
      `Cannot train: 'ratios' must be two shares above 0 and below 1, the smaller first, got ${least} and ` +
        `${most}`,
      { options: ["ratios"] },
    );
  }
  for (const name of ["rate", "clip"] as const) {
    if (settings[name] > 0 && Number.isFinite(settings[name])) continue;
    throw new TrainingError(`Cannot train: '${name}' must be above 0, got ${settings[name]}`, {
      options: [name],
    });
  }
}
