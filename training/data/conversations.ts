import { createHash } from "node:crypto";
import { TrainingError } from "../errors.ts";
import { kindOf } from "./kind.ts";
import { looksLikeJson, readRecords } from "./records.ts";
import { readTurns } from "./turns.ts";
import { gatherParagraphs } from "./paragraphs.ts";
import type { ConversationSet, SkippedRecord, TrainingExample } from "./example.ts";
import { readTextFile } from "./text_file.ts";

/** Options of {@linkcode readConversations}. */
export interface ReadConversationsOptions {
  /**
   * Plain text only: paragraphs are gathered until a prompt has about this many characters.
   *
   * @default {4000}
   */
  readonly promptCharacters?: number;
}

/** A file without one usable record among so many is not worth reading to its end. */
const HOPELESS = 200_000;

/** Reasons that the error about an unusable file shows. */
const SHOWN_REASONS = 3;

/**
 * Reads a file of conversations. What the file holds shows in its content; its name decides only
 * where the content does not.
 *
 * Formats:
 * - ShareGPT: `{conversations: [{from, value}]}` with `human`, `gpt`, `system` and their synonyms;
 * - OpenAI: `{messages: [{role, content}]}`, the content a text or a list of text parts;
 * - `{prompt, response?}`, `{prompt, completion?}`, `{instruction, input?, output?}`;
 * - a record of any of these may have `later`, what the user adds to the last turn once it was read,
 *   and `begun`, how the answer begins that is asked for;
 * - plain text: paragraphs (separated by blank lines) are gathered, in order, into prompts of
 *   `promptCharacters`; a longer paragraph is cut between words. There are no responses.
 *
 * Records may stand in a JSON array, one per line (JSONL), or one after the other. The last user turn
 * ends the prompt, what the assistant says after it is the response. End-of-text markers such as
 * `<|endoftext|>` are cut off the ends of turns. Broken records are left out and listed in `skipped`;
 * an array that breaks off gives the records before the break.
 *
 * The whole file is held in memory while it is read.
 *
 * @throws {TrainingError} If the file is missing, a folder, empty, binary, longer than 500 MB, or has
 * no usable record.
 *
 * @example
 * ```ts
 * import { readConversations } from "./conversations.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const path = await Deno.makeTempFile();
 * await Deno.writeTextFile(path, '{"prompt": "Hi!", "response": "Hello."}\n{"prompt": 3}\n');
 * const { examples, skipped } = await readConversations(path);
 * assertEquals(examples[0]?.messages, [{ role: "user", content: "Hi!" }]);
 * assertEquals(examples[0]?.response, "Hello.");
 * assertEquals(skipped, [{ record: 2, line: 2, reason: "its prompt is not text" }]);
 * await Deno.remove(path);
 * ```
 */
export async function readConversations(
  path: string,
  { promptCharacters = 4000 }: ReadConversationsOptions = {},
): Promise<ConversationSet> {
  if (!Number.isInteger(promptCharacters) || promptCharacters < 1) {
    throw new TrainingError(
      `Cannot read ${path}: promptCharacters must be an integer from 1, got ${promptCharacters}`,
    );
  }
  const { bytes, text } = await readTextFile(path);
  const hash = createHash("sha256").update(bytes).digest("hex");
  if (!looksLikeJson(text, path)) {
    return { examples: [...gatherParagraphs(text, promptCharacters)], skipped: [], hash };
  }
  const examples: TrainingExample[] = [];
  const skipped: SkippedRecord[] = [];
  let count = 0;
  for (const { line, ...record } of readRecords(text, path)) {
    count++;
    const turns = "problem" in record ? record.problem : readTurns(record.value);
    if (typeof turns === "string") skipped.push({ record: count, line, reason: turns });
    else {
      const source = "value" in record ? record.value : undefined;
      examples.push({ ...turns, kind: kindOf(source, turns), line });
    }
    if (examples.length === 0 && skipped.length === HOPELESS) break;
  }
  if (examples.length === 0) throw unusable(path, skipped);
  return { examples, skipped, hash };
}

function unusable(path: string, skipped: readonly SkippedRecord[]): TrainingError {
  const reasons = skipped.slice(0, SHOWN_REASONS)
    .map(({ record, line, reason }) => `record ${record} in line ${line}: ${reason}`);
  const more = skipped.length - reasons.length;
  const found = reasons.length === 0
    ? "it holds no record"
    : `none of its records is usable (${reasons.join("; ")}${more > 0 ? `; ${more} more` : ""})`;
  return new TrainingError(
    `Cannot train on ${path}: ${found}; give conversations in ShareGPT or OpenAI form, ` +
      "records with a prompt, or plain text",
  );
}
