import { conversationIds, NEXT_QUESTION } from "../runtime/tokenizer/completion_form.ts";
import { commonPrefix } from "../runtime/tokenizer/prompt.ts";
import type { ChatMessage, Tokenizer } from "../runtime/tokenizer/tokenizer.ts";
import type { ConversationSet, TrainingExample } from "./data/example.ts";
import { selectExamples } from "./data/select.ts";
import { TrainingError } from "./errors.ts";
import { openTurn } from "./open_turn.ts";
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

/** What a model's context has to hold besides a prompt. */
export interface PromptRoom {
  /** Tokens behind it. @default {the longer of the answer and the soft tokens} */
  readonly behind?: number;
}

/**
 * Draws the examples of a run and turns them into token ids. Where there are fewer than wanted, those
 * held out are at most half of them.
 *
 * @param context Tokens that the model can read: the prompt, and what comes behind it.
 * @throws {TrainingError} If no example is short enough.
 */
export function trainingPrompts(
  set: ConversationSet,
  tokenizer: Tokenizer,
  context: number,
  settings: TrainingSettings,
  { behind = Math.max(settings.responseTokens, settings.tokens) }: PromptRoom = {},
): TrainingPrompts {
  const { samples, validate, codeShare, seed, responses, responseTokens, tokens } = settings;
  const { examples, duplicates } = selectExamples(set, {
    samples: set.examples.length,
    codeShare,
    seed,
  });
  const wanted = samples + validate;
  const room = context - behind;
  const limit = Math.min(settings.maxPromptTokens, room);
  if (room < 1) {
    const tooMany = tokens > responseTokens ? "tokens" : "responseTokens";
    throw new TrainingError(
      `Cannot train: the model reads ${context} tokens, which leaves none for a prompt; lower ` +
        `'${tooMany}'`,
      { options: [tooMany] },
    );
  }
  const chosen: (TrainingPrompt & { readonly kind: string })[] = [];
  const least = settings.leaveFirst + settings.leaveLast + 1;
  let [long, short] = [0, 0];
  for (const example of examples) {
    if (chosen.length === wanted) break;
    const prompt = promptOf(example, tokenizer, settings);
    const { ids, response } = prompt;
    const answer = response.kind === "original" ? response.ids.length : 0;
    if (ids.length > limit || ids.length + answer > context) long++;
    else if (ids.length < least) short++;
    else chosen.push({ ...prompt, kind: example.kind });
  }
  const prompts = chosen.map(({ ids, response }) => ({ ids, response }));
  // Those held out come first: the choice is the same however many are trained on.
  const held = Math.min(validate, Math.floor(prompts.length / 2));
  if (prompts.length === 0) {
    throw new TrainingError(
      short > 0
        ? `Cannot train: ${short} prompts are shorter than ${least} tokens, which leaves nothing to ` +
          `compare, and ${long} longer than ${limit}; lower 'leaveFirst' or 'leaveLast'`
        : `Cannot train: all ${long} prompts are longer than ${limit} tokens; ` +
          (room > settings.maxPromptTokens
            ? "raise 'maxPromptTokens'"
            : `the model reads ${context}, so give shorter ones or lower 'responseTokens'`),
      { options: ["maxPromptTokens", "responseTokens"] },
    );
  }
  const code = chosen.filter(({ kind }) => kind === "code").length;
  const codeWanted = Math.round(codeShare * chosen.length);
  const unanswered = responses === "self" || settings.target === "reconstruct"
    ? 0
    : prompts.filter(({ response }) => response.kind === "self").length;
  const counted = (what: string, count: number, more = "") =>
    count > 0 ? [`${what}: ${count}${more}`] : [];
  return {
    train: prompts.slice(held),
    validate: prompts.slice(0, held),
    notes: [
      ...counted("records skipped", set.skipped.length, ` (${skippedLines(set)})`),
      ...counted("duplicates left out", duplicates),
      ...counted(`prompts longer than ${limit} tokens left out`, long),
      ...counted(`prompts shorter than ${least} tokens left out`, short),
      ...counted("examples without an answer, which the model gives", unanswered),
      ...counted(
        "examples fewer than wanted",
        Math.max(0, wanted - prompts.length),
        `; training on ${prompts.length - held}, validating on ${held}`,
      ),
      ...(Math.abs(code - codeWanted) > 1
        ? [`examples of code: ${code} of ${chosen.length}, ${codeWanted} were wanted`]
        : []),
    ],
  };
}

/** Tokens that are repeated at a time, as in KVzip. */
const REPEATED_TOKENS = 2048;

/** Where the answer is known, what is said later counts to it: the prompt is read without. */
function promptOf(
  example: TrainingExample,
  tokenizer: Tokenizer,
  { responses, responseTokens, target }: TrainingSettings,
): TrainingPrompt {
  const { messages, response, later, begun = "" } = example;
  if (target === "reconstruct") {
    const { ids } = openTurn({ messages }, tokenizer);
    return { ids, response: { kind: "repeated", chunk: REPEATED_TOKENS } };
  }
  const opening = begun === "" ? [] : answerIds(begun, tokenizer);
  const whole = response === undefined ? opening : answerIds(begun + response, tokenizer);
  const begins = whole.slice(0, commonPrefix(opening, whole));
  const known = responses === "original" && response !== undefined
    ? whole.slice(begins.length, begins.length + responseTokens)
    : [];
  if (known.length > 0 && later !== undefined) {
    const { ids, rest } = openTurn(example, tokenizer);
    return { ids, response: { kind: "original", ids: [...rest, ...begins, ...known] } };
  }
  const ids = [...conversationIds(withLater(messages, later), tokenizer), ...begins];
  if (known.length > 0) return { ids, response: { kind: "original", ids: known } };
  const until = tokenizer.hasChatTemplate ? {} : { until: NEXT_QUESTION };
  return { ids, response: { kind: "self", tokens: responseTokens, ...until } };
}

function withLater(messages: readonly ChatMessage[], later = ""): readonly ChatMessage[] {
  return messages.map((message, at) =>
    at === messages.length - 1 ? { ...message, content: message.content + later } : message
  );
}

/** A known answer, as it stands behind what {@linkcode conversationIds} gives. */
function answerIds(answer: string, tokenizer: Tokenizer): number[] {
  const text = tokenizer.hasChatTemplate ? answer : ` ${answer.trim()}`;
  return tokenizer.encode(text, { bos: false });
}

const SHOWN = 5;

function skippedLines({ skipped }: ConversationSet): string {
  const shown = skipped.slice(0, SHOWN).map(({ line, reason }) => `line ${line}: ${reason}`);
  return [...shown, ...(skipped.length > SHOWN ? ["…"] : [])].join("; ");
}
