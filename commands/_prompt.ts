import { PromptError } from "../runtime/errors.ts";
import type { Prompt } from "../runtime/tokenizer/prompt.ts";
import { parseJson, readInput } from "./_read_input.ts";

/** What the user gave as a prompt. */
export interface PromptFlags {
  readonly promptFile?: string | undefined;
  readonly system?: string | undefined;
  readonly raw?: boolean | undefined;
  readonly idsFile?: string | undefined;
}

const WAYS_IN = "give a question, --prompt-file, --ids-file or text on standard input";

/**
 * Makes the prompt: token ids, or the document with the question below it, as a chat or as raw text.
 *
 * @param question The question, `-` for standard input, `undefined` if none was given.
 * @param interactive Whether standard input is a terminal, where nobody may be typing a prompt.
 * @throws {PromptError} If there is nothing to read, or it cannot be read.
 */
export async function readPrompt(
  flags: PromptFlags,
  question: string | undefined,
  interactive: boolean,
): Promise<Prompt> {
  if (flags.idsFile !== undefined) return { ids: await readIds(flags.idsFile, question) };
  const nothing = question === undefined && flags.promptFile === undefined;
  if (nothing && interactive) throw new PromptError(`There is no prompt: ${WAYS_IN}`);
  if (question === "-" && flags.promptFile === "-") {
    throw new PromptError(
      "Cannot read both the document and the question from standard input: give one in another way",
    );
  }
  const file = flags.promptFile ?? (nothing || question === "-" ? "-" : undefined);
  const document = file === undefined ? undefined : await readInput(file, "the prompt");
  if (document?.trim() === "" && question !== undefined && question !== "-") {
    throw new PromptError(
      `Cannot ask about ${file === "-" ? "standard input" : file}: it is empty; ` +
        "give a document, or a question alone",
    );
  }
  const text = joinPrompt(document, question === "-" ? undefined : question);
  if (text === "" || (!flags.raw && text.trim() === "")) {
    throw new PromptError(`Cannot read an empty prompt: ${WAYS_IN}`);
  }
  if (flags.raw) return { text };
  const system = flags.system === undefined ? [] : [{ role: "system", content: flags.system }];
  return { messages: [...system, { role: "user", content: text }] };
}

/** The document, a blank line, the question: as `Session.ask` puts them together. */
function joinPrompt(document: string | undefined, question: string | undefined): string {
  if (document === undefined || question === undefined || question === "") {
    return document ?? question ?? "";
  }
  return `${document.trimEnd()}\n\n${question}`;
}

async function readIds(path: string, question: string | undefined): Promise<number[]> {
  if (question !== undefined) {
    throw new PromptError("Cannot use a question beside --ids-file: the ids are the whole prompt");
  }
  const what = "--ids-file must hold a JSON array of token ids such as [1, 15, 27]";
  const ids = parseJson(await readInput(path, "token ids"), what);
  if (!Array.isArray(ids)) throw new PromptError(`${what}, it holds something else`);
  const wrong = ids.findIndex((id) => !Number.isSafeInteger(id) || id < 0);
  if (wrong >= 0) {
    throw new PromptError(`${what}, entry ${wrong} is ${JSON.stringify(ids[wrong])}`);
  }
  return ids;
}
