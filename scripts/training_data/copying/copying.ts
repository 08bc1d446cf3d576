import { createDraw } from "../../../evaluation/benchmarks/generation/draw.ts";
import { TrainingError } from "../../../training/errors.ts";
import type { Recipe } from "../recipes.ts";
import { estimateTokens, type Exercise, one } from "./exercise.ts";
import { exerciseKinds } from "./kinds.ts";
import { type CopyingSplit, VOCABULARY } from "./vocabulary.ts";

/** Which copying tasks are made. */
export interface CopyingRequest {
  readonly split: CopyingSplit;
  /** How many. */
  readonly count: number;
  /** Least and most tokens of a prompt, about. */
  readonly tokens: readonly [number, number];
  /** Sentences to hide statements in. */
  readonly prose: readonly string[];
  readonly seed: number;
}

/** Where a question stands: behind the text, before it, or in a message that comes later. */
export type QuestionAt = "last" | "first" | "later";

const PLACES: readonly QuestionAt[] = ["last", "first", "later"];

/** A text without a question takes about so many tokens of a prompt more. */
const FRAME = 40;

/** The fewest tokens of a prompt: shorter ones have no room for what is hidden. */
const LEAST = 200;

/**
 * Tasks whose answer is copied from the text: codes among look-alikes, identifiers, numbers and names in
 * prose, several of them, quotations, traced variables, frequent words. All kinds come by turns, with the
 * question last, first and later, and half of the answers begun; lengths are spread evenly over their logarithms. The same request gives the
 * same tasks.
 *
 * @throws {TrainingError} If a length is out of range, or there is too little prose.
 */
export function copyingTasks({ split, count, tokens, prose, seed }: CopyingRequest): Recipe[] {
  const [least, most] = tokens;
  if (!(least >= LEAST && most >= least && Number.isFinite(most))) {
    throw new TrainingError(
      `Cannot make copying tasks of ${least} to ${most} tokens: give the least, at least ${LEAST}, and ` +
        "the most",
    );
  }
  const lastStart = lastStartOf(prose, most);
  if (lastStart < 0) {
    const found = prose.reduce((sum, text) => sum + estimateTokens(text), 0);
    throw new TrainingError(
      `Cannot make copying tasks of ${most} tokens: the prose of the ${split} split has ${found}; give ` +
        "more prose or a lower length",
    );
  }
  const kinds = Object.entries(exerciseKinds(split));
  return Array.from({ length: count }, (_, index) => {
    const draw = createDraw("copying", split, seed, index);
    const [name, make] = kinds[index % kinds.length] ?? kinds[0] ?? [];
    if (!name || !make) throw new TypeError("there are no kinds of copying tasks");
    const place = PLACES[Math.floor(index / kinds.length) % PLACES.length] ?? "last";
    const long = Math.round(least * (most / least) ** (draw.integer(0, 1000) / 1000));
    const start = draw.integer(0, lastStart);
    const exercise = make({
      draw,
      words: VOCABULARY[split],
      prose: prose.slice(start, start + long),
      tokens: Math.max(1, long - FRAME),
    });
    const gap = one(draw, ["\n\n", "\n"]);
    // Half of the answers that are asked for at once stand there in part.
    const begun = place !== "later" && draw.integer(0, 1) === 0;
    return asRecipe(`copy_${name}`, exercise, { place, gap, begun });
  });
}

function asRecipe(
  source: string,
  { document, question, answer, parts }: Exercise,
  { place, gap, begun }: {
    readonly place: QuestionAt;
    readonly gap: string;
    readonly begun: boolean;
  },
): Recipe {
  const user = (content: string) => ({ role: "user" as const, content });
  const reply = { role: "assistant" as const, content: answer };
  if (place === "later") {
    return { source, messages: [user(document), reply], later: `${gap}${question}` };
  }
  const content = place === "last"
    ? `${document}${gap}${question}`
    : `${question}${gap}${document}`;
  if (!begun || !parts) return { source, messages: [user(content), reply] };
  const [beginning, rest] = parts;
  return { source, messages: [user(content), { ...reply, content: rest }], begun: beginning };
}

/** The last sentence from which there is enough prose; -1 if there is none. */
export function lastStartOf(prose: readonly string[], tokens: number): number {
  let sum = 0;
  return prose.findLastIndex((text) => (sum += estimateTokens(text)) >= tokens);
}
