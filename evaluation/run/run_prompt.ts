import {
  type GuardedText,
  joinGuarded,
  plainText,
  sliceGuarded,
} from "../../runtime/tokenizer/guarded_text.ts";
import { commonPrefix } from "../../runtime/tokenizer/prompt.ts";
import type { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";
import {
  type BenchmarkSample,
  promptText,
  type QuestionOrder,
  userTurn,
} from "../benchmarks/benchmark.ts";

/** Where the question stands, and whether policies see it. */
export interface QuestionSetting {
  /** Where the question stands. */
  readonly order: QuestionOrder;
  /**
   * Whether the question is evicted with the rest, so that policies may judge by it. Otherwise it
   * follows when the eviction is done.
   */
  readonly visible: boolean;
}

/** How tables call a setting. */
export function settingName({ order, visible }: QuestionSetting): string {
  if (order === "first") return "question first";
  return visible ? "question last" : "question after eviction";
}

/** A sample as token ids. */
export interface RunPrompt {
  /** The whole prompt as text. */
  readonly text: string;
  /** What is read and evicted. */
  readonly read: readonly number[];
  /** What follows it and is not evicted. */
  readonly then: readonly number[];
}

/** A character that stands in no text. */
const MARK = "\u{F8FF}";

/** Beginnings of questions whose first tokens merge differently with what stands before. */
const QUESTIONS = ["A", "1", "("];

/**
 * Makes a sample the user's turn of a chat, the assistant's opened with the sample's prefix; plain
 * text where the model has no chat template or the sample is not meant for one.
 */
export function runPrompt(
  sample: BenchmarkSample,
  { order, visible }: QuestionSetting,
  tokenizer: Tokenizer,
): RunPrompt {
  const chat = tokenizer.hasChatTemplate && sample.plain !== true;
  const turn = (content: string) => tokenizer.renderChat([{ role: "user", content }]);
  const render = (given: BenchmarkSample): GuardedText => {
    if (!chat) return plainText(promptText(given, order));
    return sample.prefixInTurn
      ? turn(promptText(given, order))
      : joinGuarded(turn(userTurn(given, order)), plainText(given.prefix.trimStart()));
  };
  const encode = (text: GuardedText): readonly number[] =>
    tokenizer.encode(text, chat ? { bos: false } : {});
  const whole = render(sample);
  const { text } = whole;
  const ids = encode(whole);
  if (visible || order === "first") return { text, read: ids, then: [] };
  const asked = render({ ...sample, question: MARK + sample.question });
  const [{ length } = ""] = asked.text.split(MARK);
  const before = sliceGuarded(asked, 0, length);
  const size = Math.min(
    ...QUESTIONS.map((question) =>
      commonPrefix(encode(joinGuarded(before, plainText(question))), ids)
    ),
  );
  return { text, read: ids.slice(0, size), then: ids.slice(size) };
}
