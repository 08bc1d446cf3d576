import type { Prng } from "../../policies/_random.ts";
import { TrainingError } from "../../training/errors.ts";

/** One question and its answer. */
export interface Single {
  readonly source: string;
  readonly question: string;
  readonly answer: string;
}

/** A conversation of the set, and where it comes from. */
export interface Recipe {
  readonly source: string;
  readonly messages: readonly { readonly role: "user" | "assistant"; readonly content: string }[];
  /** How the answer begins that the last message goes on with. */
  readonly begun?: string;
  /** What the user adds to the last of their turns once it was read. */
  readonly later?: string;
}

/** Exchanges as one conversation, the last answer left out: the model gives its own. */
export function asMessages(exchanges: readonly Single[]): Recipe {
  const messages = exchanges.flatMap(({ question, answer }) => [
    { role: "user" as const, content: question },
    { role: "assistant" as const, content: answer },
  ]);
  const sources = [...new Set(exchanges.map(({ source }) => source))];
  return { source: sources.join("+"), messages: messages.slice(0, -1) };
}

/** After so many items in a row that do not fit, none of a pool does. */
const MOST_MISSES = 10_000;

/** Conversations of several exchanges, their length in characters between two bounds. */
export function packed(
  pool: readonly Single[],
  count: number,
  random: Prng,
  { least = 1600, most = 5200 }: { readonly least?: number; readonly most?: number } = {},
): Recipe[] {
  return Array.from({ length: count }, () => {
    const aim = least + random() * (most - least) * 0.8;
    const exchanges: Single[] = [];
    for (let [length, misses] = [0, 0]; length < aim && misses < MOST_MISSES;) {
      const single = pick(pool, random);
      const added = single.question.length + single.answer.length;
      misses = length + added > most ? misses + 1 : 0;
      if (misses > 0) continue;
      exchanges.push(single);
      length += added;
    }
    if (exchanges.length === 0) {
      throw new TrainingError(`Cannot pack exchanges: all are longer than ${most} characters`);
    }
    return asMessages(exchanges);
  });
}

const TASKS: readonly ((name: string) => string)[] = [
  (name) => `Repeat the first sentence of ${name}.`,
  (name) => `Summarise ${name} in one sentence.`,
  (name) => `Who or what is ${name} about?`,
  (name) => `Quote a sentence from the middle of ${name}.`,
  (name) => `List the names that occur in ${name}.`,
  (name) => `What is said at the end of ${name}?`,
];

/**
 * Several numbered texts and a task about one of them, said before the texts or after.
 *
 * @param stretch How many times as many texts there are.
 */
export function texts(
  pool: readonly Single[],
  count: number,
  random: Prng,
  stretch = 1,
): Recipe[] {
  const bodies = pool.filter(({ question }) => question.length > 300 && question.length < 2500);
  return Array.from({ length: count }, () => {
    const total = Math.round(stretch * (3 + Math.floor(random() * 6)));
    const label = pick(["Text", "Document", "Note", "Passage"], random);
    const chosen: string[] = [];
    for (
      let [length, misses] = [0, 0];
      chosen.length < total && length < 4200 * stretch && misses < MOST_MISSES;
    ) {
      const { question } = pick(bodies, random);
      misses = length + question.length > 5400 * stretch ? misses + 1 : 0;
      if (misses > 0) continue;
      chosen.push(question);
      length += question.length;
    }
    const numbered = chosen.map((text, index) => `${label} ${index + 1}:\n${text}`).join("\n\n");
    const about = `${label.toLowerCase()} ${1 + Math.floor(random() * chosen.length)}`;
    const task = pick(TASKS, random)(about);
    const content = random() < 0.5 ? `${task}\n\n${numbered}` : `${numbered}\n\n${task}`;
    return { source: "texts", messages: [{ role: "user", content }] };
  });
}

/**
 * One of the items.
 *
 * @throws {TrainingError} If there are none.
 */
export function pick<T>(items: readonly T[], random: Prng): T {
  const item = items[Math.floor(random() * items.length)];
  if (item !== undefined) return item;
  throw new TrainingError("Cannot make the sets: there is nothing of a kind to pick from");
}

/**
 * The same prompt with what is asked in front of what it is about, as one message: the last turn in
 * front of the earlier ones, the longest paragraph behind the others, or the last sentence in front.
 */
export function questionFirst({ source, messages }: Recipe): Recipe {
  const last = messages.at(-1)?.content ?? "";
  const earlier = messages.slice(0, -1).map(({ role, content }) => `${role}: ${content}`);
  const parts = earlier.length > 0 ? [last, ...earlier] : longestLast(last);
  return { source, messages: [{ role: "user", content: parts.join("\n\n") }] };
}

function longestLast(text: string): readonly string[] {
  const paragraphs = text.split(/\n\s*\n/).filter((paragraph) => paragraph.trim() !== "");
  if (paragraphs.length === 1) {
    const sentences = text.split(/(?<=[.!?])\s+/);
    return [sentences.at(-1) ?? "", sentences.slice(0, -1).join(" ")];
  }
  const longest = Math.max(...paragraphs.map(({ length }) => length));
  const at = paragraphs.findIndex(({ length }) => length === longest);
  return [...paragraphs.toSpliced(at, 1), ...paragraphs.slice(at, at + 1)];
}
