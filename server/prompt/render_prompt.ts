import { PromptError } from "../../runtime/errors.ts";
import type { Tokenizer } from "../../runtime/tokenizer/tokenizer.ts";
import type { RequestPrompt } from "../scheduler/request.ts";
import type { ChatTurn } from "./chat_prompt.ts";
import { renderChat } from "./render_chat.ts";
import { openingIds } from "./system_span.ts";

/** A document that stands in front of a prompt. */
export interface PromptDocument {
  readonly text: string;
  readonly system?: string;
  /** `chat`: the beginning of the first user's message. `text`: of a text without a template. */
  readonly form: "chat" | "text";
}

/**
 * The ids of a prompt, and whatever stands in front of it.
 *
 * @throws {PromptError} If the template refuses the messages, an id is out of range, there is nothing
 * to read, or the document does not go with the prompt.
 */
export function renderPrompt(
  prompt: RequestPrompt,
  tokenizer: Tokenizer,
  document?: PromptDocument,
): number[] {
  const ids = idsOf(document ? behindDocument(prompt, document) : prompt, tokenizer);
  if (ids.length === 0) throw new PromptError("Cannot answer an empty prompt: give some text");
  return ids;
}

/** The ids of a document alone: those that every prompt behind it begins with. */
export function renderDocument(document: PromptDocument, tokenizer: Tokenizer): readonly number[] {
  const { text, form } = document;
  if (form === "text") return tokenizer.encode(text.toWellFormed(), { special: false });
  return openingIds(tokenizer, (said) => ({
    messages: withDocument([{ role: "user", content: said }], document),
  }));
}

function idsOf(prompt: RequestPrompt, tokenizer: Tokenizer): number[] {
  switch (prompt.kind) {
    case "chat":
      return renderChat(prompt, tokenizer);
    case "text":
      return tokenizer.encode(prompt.text.toWellFormed(), { special: prompt.special ?? false });
    case "ids": {
      const wrong = prompt.ids.find((id) =>
        !Number.isInteger(id) || id < 0 || id >= tokenizer.vocabulary
      );
      if (wrong === undefined) return [...prompt.ids];
      throw new PromptError(
        `Cannot read token ${wrong}: ids must be integers from 0 to ${tokenizer.vocabulary - 1}`,
      );
    }
  }
}

function behindDocument(prompt: RequestPrompt, document: PromptDocument): RequestPrompt {
  if (prompt.kind === "ids" || (prompt.kind === "chat") !== (document.form === "chat")) {
    const other = document.form === "chat" ? "chats" : "/v1/completions with a text";
    throw new PromptError(
      `Cannot put this document in front of this prompt: it was read for ${other}; read it again ` +
        `with "form" set to "${document.form === "chat" ? "text" : "chat"}"`,
    );
  }
  if (prompt.kind === "text") return { ...prompt, text: document.text + prompt.text };
  return { ...prompt, messages: withDocument(prompt.messages, document) };
}

function withDocument(
  messages: readonly ChatTurn[],
  { text, system }: PromptDocument,
): readonly ChatTurn[] {
  const [first, ...others] = messages;
  const own = first?.role === "system" ? first : undefined;
  if (own && own.content !== system) {
    throw new PromptError(
      "Cannot put this document behind another system message than it was read with: leave the " +
        "message out, or give the document its text as 'system'",
    );
  }
  const [asked, ...rest] = own ? others : messages;
  if (asked?.role !== "user") {
    throw new PromptError(
      "Cannot put a document in front of this chat: its first message must be a user's, " +
        `got ${asked ? `'${asked.role}'` : "none"}`,
    );
  }
  const content = text === "" ? asked.content : `${text.trimEnd()}\n\n${asked.content}`;
  const opening: ChatTurn[] = system === undefined ? [] : [{ role: "system", content: system }];
  return [...opening, { ...asked, content }, ...rest];
}
