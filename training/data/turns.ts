import { isRecord } from "../../runtime/checkpoint/read_json.ts";
import type { ChatMessage } from "../../runtime/tokenizer/tokenizer.ts";
import type { Turns } from "./example.ts";

const ROLES: ReadonlyMap<string, "system" | "user" | "assistant"> = new Map([
  ["system", "system"],
  ["developer", "system"],
  ["user", "user"],
  ["human", "user"],
  ["assistant", "assistant"],
  ["gpt", "assistant"],
  ["chatgpt", "assistant"],
  ["bot", "assistant"],
  ["model", "assistant"],
]);

/** End-of-text and end-of-turn markers of common chat formats, at the end of a text. */
const END_MARKERS = [
  "<|endoftext|>",
  "<|im_end|>",
  "<|end|>",
  "<|end_of_text|>",
  "<|end_of_turn|>",
  "<|eot_id|>",
  "<|eom_id|>",
  "<｜end▁of▁sentence｜>",
  "<end_of_turn>",
  "<eos>",
  "</s>",
];

/**
 * Reads the prompt and the answer from one record of any of the known forms.
 *
 * @returns The turns, or the reason why the record cannot be used.
 */
export function readTurns(record: unknown): Turns | string {
  if (!isRecord(record)) return "it is not a JSON object";
  const turns = readGiven(record);
  const { later, begun } = record;
  if (typeof turns === "string") return turns;
  if (later !== undefined && typeof later !== "string") return "what is said later is not text";
  if (begun !== undefined && typeof begun !== "string") {
    return "the beginning of its answer is not text";
  }
  if (later?.trim() === "") return "what is said later is empty";
  return {
    ...turns,
    ...(later === undefined ? {} : { later }),
    ...(begun === undefined ? {} : { begun }),
  };
}

function readGiven(record: Readonly<Record<string, unknown>>): Turns | string {
  const { conversations, conversation, messages, prompt, instruction } = record;
  const list = messages ?? conversations ?? conversation;
  if (list !== undefined) return readList(list);
  if (prompt !== undefined) {
    return readPair("prompt", prompt, record.response ?? record.completion);
  }
  if (instruction === undefined) {
    return "it has none of conversations, messages, prompt and instruction";
  }
  const { input, output } = record;
  if (typeof instruction !== "string") return "its instruction is not text";
  if (input !== undefined && input !== null && typeof input !== "string") {
    return "its input is not text";
  }
  const body = input?.trim() ? `${instruction}\n\n${input}` : instruction;
  return readPair("instruction", body, output);
}

function readPair(name: string, prompt: unknown, answer: unknown): Turns | string {
  if (typeof prompt !== "string") return `its ${name} is not text`;
  const content = withoutMarkers(prompt);
  if (content.trim() === "") return `its ${name} is empty`;
  const messages = [{ role: "user", content }];
  if (answer === undefined || answer === null) return { messages };
  if (typeof answer !== "string") return "its answer is not text";
  const response = withoutMarkers(answer);
  return response.trim() === "" ? "its answer is empty" : { messages, response };
}

function readList(list: unknown): Turns | string {
  if (!Array.isArray(list)) return "its turns are not a list";
  const messages: ChatMessage[] = [];
  for (const [index, entry] of list.entries()) {
    const message = readMessage(entry);
    if (typeof message === "string") return `turn ${index + 1} ${message}`;
    const last = messages.at(-1)?.role;
    const expected = message.role === "system"
      ? index === 0
      : message.role === "user"
      ? last !== "user"
      : last === "user";
    if (!expected) {
      return `turn ${index + 1} is of role ${message.role}, which is out of order`;
    }
    messages.push(message);
  }
  const last = messages.at(-1);
  if (last?.role === "user") return { messages };
  if (last?.role !== "assistant") return "it has no user turn";
  return { messages: messages.slice(0, -1), response: last.content };
}

function readMessage(entry: unknown): ChatMessage | string {
  if (!isRecord(entry)) return "is not an object";
  const name = entry.role ?? entry.from;
  if (typeof name !== "string") return "has no role";
  const role = ROLES.get(name.toLowerCase());
  if (role === undefined) return `has the unknown role ${JSON.stringify(name.slice(0, 40))}`;
  const text = readContent(entry.content ?? entry.value);
  if (text === undefined) return "is not text";
  const content = withoutMarkers(text);
  return content.trim() === "" ? "is empty" : { role, content };
}

/** A text, or the texts of a list of parts; a list with a part of another kind is not text. */
function readContent(content: unknown): string | undefined {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return undefined;
  const parts = content.map((part) =>
    typeof part === "string" ? part : isRecord(part) ? part.text : undefined
  );
  return parts.every((part) => typeof part === "string") ? parts.join("") : undefined;
}

function withoutMarkers(text: string): string {
  const trimmed = text.trimEnd();
  const marker = END_MARKERS.find((end) => trimmed.endsWith(end));
  return marker === undefined ? text : withoutMarkers(trimmed.slice(0, -marker.length)).trimEnd();
}
