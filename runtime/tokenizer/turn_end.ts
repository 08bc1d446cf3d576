import { PromptError } from "../errors.ts";
import { sliceGuarded } from "./guarded_text.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** A character that stands in no text. */
const MARK = "\u{F8FF}";

/**
 * What stands between the end of a user's message and the answer: as the chat template has it, or a line
 * break where there is none.
 */
export function turnEnd(tokenizer: Tokenizer): readonly number[] {
  const lineBreak = () => tokenizer.encode("\n", { bos: false });
  if (!tokenizer.hasChatTemplate) return lineBreak();
  try {
    const turn = tokenizer.renderChat([{ role: "user", content: MARK }]);
    const end = turn.text.indexOf(MARK) + MARK.length;
    return tokenizer.encode(sliceGuarded(turn, end), { bos: false });
  } catch (error) {
    // A template that takes no message of a user alone.
    if (error instanceof PromptError) return lineBreak();
    throw error;
  }
}
