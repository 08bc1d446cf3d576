import { mergedSpans, type TokenSpan } from "../evict/pinned.ts";
import { PromptError } from "../errors.ts";
import { asMessages, commonPrefix } from "../tokenizer/prompt.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Transcript } from "./transcript.ts";

/** Beginnings of what a user may say: what comes before is the same for all. */
const SAID = ["A", "1", "("];

/** The tokens of the system message at the beginning of a transcript, if there is one. */
export function systemSpan(
  transcript: Transcript,
  ids: readonly number[],
  tokenizer: Tokenizer,
): readonly TokenSpan[] {
  const system = systemOf(transcript);
  if (system === undefined) return [];
  const to = Math.min(
    ...SAID.map((text) =>
      commonPrefix(ids, tokenizer.encodeChat(asMessages({ document: "", system }, text)))
    ),
  );
  return to === 0 ? [] : [{ from: 0, to }];
}

function systemOf(transcript: Transcript): string | undefined {
  if (transcript.kind === "document") return transcript.system;
  if (transcript.kind === "raw") return undefined;
  const [first] = transcript.messages;
  return first?.role === "system" ? first.content : undefined;
}

/**
 * The spans that are protected from now on.
 *
 * @param given What a reading is to protect: all that it reads, or spans in tokens of the session.
 * @param reading Tokens before it, and behind it.
 * @throws {PromptError} If a span is none, or lies behind what was read.
 */
export function addedSpans(
  spans: readonly TokenSpan[],
  given: boolean | readonly TokenSpan[],
  { from, to }: TokenSpan,
): readonly TokenSpan[] {
  if (typeof given === "boolean") return given ? mergedSpans([...spans, { from, to }]) : spans;
  for (const span of given) {
    const sound = Number.isInteger(span.from) && Number.isInteger(span.to) && span.from >= 0 &&
      span.from < span.to && span.to <= to;
    if (sound) continue;
    throw new PromptError(
      `Cannot protect tokens ${span.from} to ${span.to}: spans must be like { from: 0, to: 20 }, ` +
        `within the ${to} tokens of the session`,
    );
  }
  return mergedSpans([...spans, ...given]);
}
