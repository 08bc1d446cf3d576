import { EnumType } from "@cliffy/command";
import type { SoftTokenSettings } from "../training/soft_token_settings.ts";
import { modelCommand } from "./_model_command.ts";

/** What the flags of every subcommand of `kvjudge train` are by default, and what they are about. */
export interface TrainingDefaults
  extends Pick<SoftTokenSettings, "samples" | "responseTokens" | "maxPromptTokens" | "seed"> {
  /** What `--samples` counts. */
  readonly samplesAre: string;
  /** What `--out` is. */
  readonly outIs: string;
}

/** A command with the flags of all that is made of a model and conversations. */
export function trainingCommand(defaults: TrainingDefaults) {
  return modelCommand()
    .option("-d, --data <file:string>", "Conversations: ShareGPT, OpenAI, JSONL or text.", {
      required: true,
    })
    .option("-o, --out <file:string>", defaults.outIs, { required: true })
    .option("--samples <count:integer>", defaults.samplesAre, { default: defaults.samples })
    .option("--max-prompt-tokens <count:integer>", "Longer prompts are left out.", {
      default: defaults.maxPromptTokens,
    })
    .option("--response-tokens <count:integer>", "Most tokens of an answer.", {
      default: defaults.responseTokens,
    })
    .option("--seed <seed:integer>", "Seed of every random choice.", { default: defaults.seed })
    .option("--json", "Print one JSON object at the end.");
}

/** A command with the flags of all that trains soft tokens. */
export function softTokenCommand(
  defaults: SoftTokenSettings,
  { outIs }: Pick<TrainingDefaults, "outIs">,
) {
  return trainingCommand({ ...defaults, outIs, samplesAre: "Examples to train on." })
    .type("responses", new EnumType(["self", "original"] as const))
    .option("--responses <whose:responses>", "The model's own answers, or the data's.", {
      default: defaults.responses,
    })
    .option("--tokens <count:integer>", "Soft tokens to train.", { default: defaults.tokens })
    .option("--init <from:string>", "Start: random, words, or a file of soft tokens.", {
      default: defaults.initial,
    })
    .option("--epochs <count:integer>", "How often each example is visited.", {
      default: defaults.epochs,
    })
    .option("--batch <count:integer>", "Examples of one step.", { default: defaults.batch })
    .option("--lr <rate:number>", "Highest learning rate.", { default: defaults.rate })
    .option("--warmup <share:number>", "Share of the steps in which the rate rises.", {
      default: defaults.warmup,
    })
    .option("--clip <norm:number>", "Largest norm of a gradient.", { default: defaults.clip })
    .option("--validate <count:integer>", "Examples held out to measure with.", {
      default: defaults.validate,
    });
}

/** What the user said about soft tokens; the other names are those of the settings. */
export interface SoftTokenFlags extends Omit<SoftTokenSettings, "rate" | "initial"> {
  readonly lr: number;
  readonly init: string;
}

/** The settings that the flags of {@linkcode softTokenCommand} say. */
export function softTokenSettings({ lr: rate, init: initial, ...flags }: SoftTokenFlags) {
  const { tokens, samples, epochs, batch, warmup, clip, responses, responseTokens } = flags;
  const { maxPromptTokens, seed, validate } = flags;
  return {
    ...{ tokens, samples, epochs, batch, rate, warmup, clip, responses, responseTokens },
    ...{ maxPromptTokens, initial, seed, validate },
  } satisfies SoftTokenSettings;
}
