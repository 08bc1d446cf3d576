import { PromptError } from "../errors.ts";
import { type GuardedText, sliceGuarded } from "../tokenizer/guarded_text.ts";
import { asMessages, commonPrefix, type Prompt, promptIds } from "../tokenizer/prompt.ts";
import type { ChatMessage, Tokenizer } from "../tokenizer/tokenizer.ts";

/** What the tokens of a session are, so that more can follow them. */
export type Transcript =
  /** Text or ids as they are, or nothing yet. */
  | { readonly kind: "raw" }
  /** A document whose message is still open. */
  | { readonly kind: "document"; readonly document: string; readonly system?: string }
  /** Messages. Where the last one is the model's answer, it is open: its end was not read yet. */
  | { readonly kind: "chat"; readonly messages: readonly ChatMessage[]; readonly open: boolean };

/** Where a session stands. */
export interface Standing {
  readonly transcript: Transcript;
  /** Every token so far. */
  readonly ids: readonly number[];
  /** Tokens at the end that may be dropped and read again: no eviction has touched them. */
  readonly tail: number;
}

/** What is to be read next. */
export interface Continuation {
  /** Tokens that are dropped from the end first: the chat template writes them otherwise. */
  readonly drop: number;
  readonly ids: readonly number[];
  readonly transcript: Transcript;
  /** What a user may have expected otherwise. */
  readonly note?: string;
}

/** What a prompt that is read first makes of a session. */
export function transcriptOf(prompt: Prompt): Transcript {
  if ("messages" in prompt) return { kind: "chat", messages: prompt.messages, open: false };
  return "document" in prompt ? { kind: "document", ...prompt } : { kind: "raw" };
}

/** Adds what the model answered to what was said. */
export function withAnswer(transcript: Transcript, answer: string | undefined): Transcript {
  if (transcript.kind !== "chat" || answer === undefined) return transcript;
  const messages = [...transcript.messages, { role: "assistant", content: answer }];
  return { kind: "chat", messages, open: true };
}

/**
 * Finds the ids that make the session's tokens and a prompt one text. Messages are rendered together
 * with all before them, so that the ids are those of the whole conversation encoded at once.
 *
 * @throws {PromptError} If such a prompt cannot follow.
 */
export function continuation(
  standing: Standing,
  prompt: Prompt,
  tokenizer: Tokenizer,
): Continuation {
  const { transcript, ids } = standing;
  if (ids.length === 0) {
    return { drop: 0, ids: promptIds(prompt, tokenizer), transcript: transcriptOf(prompt) };
  }
  if ("document" in prompt) {
    throw new PromptError(
      "Cannot append a document: it must be the first that is read; give it as a message or as text",
    );
  }
  if ("ids" in prompt) return { drop: 0, ids: prompt.ids, transcript: { kind: "raw" } };
  if ("text" in prompt) {
    const more = tokenizer.encode(prompt.text, { bos: false });
    return { drop: 0, ids: more, transcript: { kind: "raw" } };
  }
  if (transcript.kind === "raw") {
    throw new PromptError(
      "Cannot append messages to text or token ids: append text or ids, or read messages first",
    );
  }
  return continueChat(standing, continued(transcript, prompt.messages), tokenizer);
}

/** All messages. The first that follows a document ends the document's message. */
function continued(
  transcript: Exclude<Transcript, { kind: "raw" }>,
  messages: readonly ChatMessage[],
): readonly ChatMessage[] {
  const [first, ...rest] = messages;
  if (first === undefined) throw new PromptError("Cannot append no messages: give at least one");
  if (transcript.kind === "chat") return [...transcript.messages, ...messages];
  if (first.role === "user") return [...asMessages(transcript, first.content), ...rest];
  throw new PromptError(
    `Cannot append a message of '${first.role}' to a document: its question must come first, as a ` +
      "message of 'user'",
  );
}

function continueChat(
  { transcript, ids, tail }: Standing,
  messages: readonly ChatMessage[],
  tokenizer: Tokenizer,
): Continuation {
  const whole = tokenizer.encodeChat(messages);
  const same = Math.min(commonPrefix(ids, whole), whole.length - 1);
  const drop = ids.length - same;
  const next: Transcript = { kind: "chat", messages, open: false };
  if (drop <= tail) return { drop, ids: whole.slice(same), transcript: next };
  const rest = textAfter(transcript, messages, tokenizer);
  return {
    drop: 0,
    ids: tokenizer.encode(rest, { bos: false }),
    transcript: next,
    note:
      `the chat template writes the conversation otherwise than it was read, from token ${same} ` +
      "on, and a part of that was evicted: the new turns follow what was read as it was",
  };
}

/** Stands for a content in a rendered conversation: no text and no template has it. */
const MARK = "\u{F5A3C}kvjudge\u{F5A3C}";

/** What the template writes behind the last content that was said. */
function textAfter(
  transcript: Transcript,
  messages: readonly ChatMessage[],
  tokenizer: Tokenizer,
): GuardedText {
  const rendered = tokenizer.renderChat(marked(transcript, messages));
  const at = rendered.text.indexOf(MARK);
  if (at >= 0 && at === rendered.text.lastIndexOf(MARK)) {
    return sliceGuarded(rendered, at + MARK.length);
  }
  throw new PromptError(
    "Cannot append messages: the chat template does not write them behind the turns before; read " +
      "the whole conversation again",
  );
}

function marked(transcript: Transcript, messages: readonly ChatMessage[]): readonly ChatMessage[] {
  if (transcript.kind === "chat") {
    // The opening of an answer was read, so that one follows, be it empty.
    const before = transcript.open ? transcript.messages.slice(0, -1) : transcript.messages;
    return [
      ...before,
      { role: "assistant", content: MARK },
      ...messages.slice(transcript.messages.length),
    ];
  }
  const text = transcript.kind === "document" ? transcript.document.trimEnd() : "";
  const at = messages.findIndex(({ role }) => role === "user");
  return messages.map((message, index) =>
    index === at ? { ...message, content: MARK + message.content.slice(text.length) } : message
  );
}
