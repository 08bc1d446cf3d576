import { EnumType } from "@cliffy/command";
import { CACHE_PRECISIONS } from "../runtime/cache/narrow_rows.ts";
import type { GenerateOptions } from "../runtime/session/generate.ts";
import { type Defined, defined } from "./_defined.ts";
import type { ModelFlags } from "./_model_command.ts";
import type { PromptFlags } from "./_prompt.ts";
import { promptCommand } from "./_prompt_command.ts";
import type { EvictionFlags } from "./_settings.ts";

interface SamplingFlags {
  readonly maxTokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly topK?: number | undefined;
  readonly topP?: number | undefined;
  readonly minP?: number | undefined;
  readonly repetitionPenalty?: number | undefined;
  readonly seed?: number | undefined;
  readonly stop?: string[] | undefined;
}

/** What the user said to a command that answers. */
export interface AnswerFlags extends ModelFlags, PromptFlags, EvictionFlags, SamplingFlags {
  readonly cache?: string | undefined;
}

/** A command with the flags that every command has that answers. */
export function answerCommand(name: string) {
  return promptCommand(name)
    .type("cache-precision", new EnumType(CACHE_PRECISIONS))
    .option(
      "--cache-precision <precision:cache-precision>",
      "How caches that rest, and saved ones, are held.",
      { default: "fp32" as const },
    )
    .option("--cache <file:string>", "Go on from a saved cache instead of reading a document.", {
      conflicts: ["prompt-file", "ids-file", "system", "raw"],
    })
    .option("-n, --max-tokens <count:integer>", "Most tokens of an answer.")
    .option("--temperature <value:number>", "0 takes the likeliest token, 1 samples as it is.")
    .option("--top-k <count:integer>", "Sample from the likeliest tokens only.")
    .option("--top-p <share:number>", "Sample from the likeliest tokens of this probability.")
    .option("--min-p <share:number>", "Leave out tokens this much less likely than the best.")
    .option("--repetition-penalty <factor:number>", "Above 1, seen tokens become less likely.")
    .option("--seed <seed:integer>", "Same seed, same answer.")
    .option("--stop <text:string>", "Text that ends the answer; may be repeated.", {
      collect: true,
    });
}

/** How answers are made, as far as the user said it. */
export function samplingOptions(flags: SamplingFlags): Defined<GenerateOptions> {
  const { maxTokens, temperature, topK, topP, minP, repetitionPenalty, seed, stop } = flags;
  return defined({ maxTokens, temperature, topK, topP, minP, repetitionPenalty, seed, stop });
}
