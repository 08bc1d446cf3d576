import type { Tokenizer } from "../runtime/tokenizer/tokenizer.ts";
import type { ConversationSet } from "./data/example.ts";
import { selectExamples } from "./data/select.ts";
import { TrainingError } from "./errors.ts";
import type { TrainingSettings } from "./settings.ts";
import type { ResponseSource } from "./target.ts";

/** A prompt to train on. */
export interface TrainingPrompt {
  readonly ids: readonly number[];
  readonly response: ResponseSource;
}

/** The prompts of a run. */
export interface TrainingPrompts {
  readonly train: readonly TrainingPrompt[];
  /** Never trained on. */
  readonly validate: readonly TrainingPrompt[];
  /** What the user may have expected otherwise. */
  readonly notes: readonly string[];
}

/**
 * Draws the examples of a run and turns them into token ids.
 *
 * @throws {TrainingError} If no example is short enough.
 */
export function trainingPrompts(
  set: ConversationSet,
  tokenizer: Tokenizer,
  settings: TrainingSettings,
): TrainingPrompts {
  const { samples, validate, codeShare, seed, maxPromptTokens } = settings;
  const { examples, duplicates } = selectExamples(set, {
    samples: set.examples.length,
    codeShare,
    seed,
  });
  const wanted = samples + validate;
  const prompts: TrainingPrompt[] = [];
  let long = 0;
  for (const { messages, response } of examples) {
    if (prompts.length === wanted) break;
    const ids = tokenizer.encodeChat(messages);
    if (ids.length > maxPromptTokens) long++;
    else prompts.push({ ids, response: responseSource(response, tokenizer, settings) });
  }
  // Those held out come first: the choice is the same however many are trained on.
  const held = Math.min(validate, Math.floor(prompts.length / 2));
  if (prompts.length - held === 0) {
    throw new TrainingError(
      `Cannot train: all ${long} prompts are longer than ${maxPromptTokens} tokens; raise ` +
        "--max-prompt-tokens",
    );
  }
  const counted = (count: number, text: string) => count > 0 ? [`${count} ${text}`] : [];
  return {
    train: prompts.slice(held),
    validate: prompts.slice(0, held),
    notes: [
      ...counted(set.skipped.length, `records skipped (${skippedLines(set)})`),
      ...counted(duplicates, "duplicates left out"),
      ...counted(long, `prompts longer than ${maxPromptTokens} tokens left out`),
      ...counted(
        Math.max(0, wanted - prompts.length),
        `examples fewer than wanted: training on ${prompts.length - held}, validating on ${held}`,
      ),
    ],
  };
}

function responseSource(
  original: string | undefined,
  tokenizer: Tokenizer,
  { responses, responseTokens }: TrainingSettings,
): ResponseSource {
  const ids = responses === "original" && original !== undefined
    ? tokenizer.encode(original).slice(0, responseTokens)
    : [];
  return ids.length > 0 ? { kind: "original", ids } : { kind: "self", tokens: responseTokens };
}

const SHOWN = 5;

function skippedLines({ skipped }: ConversationSet): string {
  const shown = skipped.slice(0, SHOWN).map(({ line, reason }) => `line ${line}: ${reason}`);
  return [...shown, ...(skipped.length > SHOWN ? ["…"] : [])].join("; ");
}
