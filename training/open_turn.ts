import type { TrainingExample } from "./data/example.ts";
import { commonPrefix } from "../runtime/tokenizer/prompt.ts";
import { conversationIds } from "../runtime/tokenizer/completion_form.ts";
import type { Tokenizer } from "../runtime/tokenizer/tokenizer.ts";

/** Beginnings of questions whose first tokens merge differently with what stands before. */
const QUESTIONS = ["A", "1", "("];

/** What follows where nothing is asked yet. */
const GAP = "\n\n";

/** A conversation whose last turn is read before it is over. */
export interface OpenTurn {
  /** What is read first: the same whatever is said later. */
  readonly ids: readonly number[];
  /** The rest of the turn, and what closes it; none where nothing is said later. */
  readonly rest: readonly number[];
}

/** The ids of a conversation as a session reads them that gets its question later. */
export function openTurn(
  { messages, later }: Pick<TrainingExample, "messages" | "later">,
  tokenizer: Tokenizer,
): OpenTurn {
  const { role, content } = messages.at(-1) ?? { role: "user", content: "" };
  // What a session reads as a document ends without white space.
  const before = later === undefined ? content.trimEnd() : content;
  const gap = later === undefined ? GAP : later.slice(0, later.length - later.trimStart().length);
  const idsWith = (said: string) =>
    conversationIds([...messages.slice(0, -1), { role, content: `${before}${said}` }], tokenizer);
  const [first = [], ...others] = QUESTIONS.map((question) => idsWith(`${gap}${question}`));
  const whole = later === undefined ? first : idsWith(later);
  const length = Math.min(...[first, ...others].map((ids) => commonPrefix(whole, ids)));
  const shared = Math.min(length, ...others.map((ids) => commonPrefix(first, ids)));
  return {
    ids: whole.slice(0, shared),
    rest: later === undefined ? [] : whole.slice(shared),
  };
}
