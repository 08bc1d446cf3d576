import { createDraw } from "../../evaluation/benchmarks/generation/draw.ts";
import { TrainingError } from "../../training/errors.ts";
import { estimateTokens, upTo } from "./copying/exercise.ts";
import { exerciseKinds } from "./copying/kinds.ts";
import { lastStartOf } from "./copying/copying.ts";
import { type CopyingSplit, VOCABULARY } from "./copying/vocabulary.ts";
import type { Recipe, Single } from "./recipes.ts";

/** Which documents are made. */
export interface DocumentsRequest {
  readonly split: CopyingSplit;
  /** How many. */
  readonly count: number;
  /** Least and most tokens, about. */
  readonly tokens: readonly [number, number];
  /** Sentences of prose, some in a row. */
  readonly prose: readonly string[];
  /** Texts and programs. */
  readonly pool: readonly Single[];
  readonly seed: number;
}

/**
 * Documents without a question: prose, texts behind each other, programs, and what copying tasks hide
 * things in. The same request gives the same documents.
 *
 * @throws {TrainingError} If there is too little of something.
 */
export function documents(
  { split, count, tokens: [least, most], prose, pool, seed }: DocumentsRequest,
): Recipe[] {
  const lastStart = lastStartOf(prose, most);
  if (lastStart < 0) {
    throw new TrainingError(
      `Cannot make documents of ${most} tokens: the ${split} split has less prose than that; give ` +
        "more or a lower length",
    );
  }
  const code = pool.filter(({ source }) => source === "codegen");
  const texts = pool.filter(({ source, question }) =>
    source !== "codegen" && question.length > 300
  );
  const kinds = Object.values(exerciseKinds(split));
  return Array.from({ length: count }, (_, index) => {
    const draw = createDraw("documents", split, seed, index);
    const tokens = Math.round(least * (most / least) ** (draw.integer(0, 1000) / 1000));
    const start = draw.integer(0, lastStart);
    const sentences = prose.slice(start, start + tokens);
    const joined = (from: readonly Single[], whole: (one: Single) => string) =>
      upTo(tokens, draw.sample(from, 60).map(whole)).join("\n\n");
    const hides = kinds[draw.integer(0, kinds.length - 1)];
    const makes: readonly (readonly [string, () => string])[] = [
      ["prose", () => upTo(tokens, sentences).join(" ")],
      [
        "copying",
        () => hides?.({ draw, words: VOCABULARY[split], prose: sentences, tokens }).document ?? "",
      ],
      ["texts", () => joined(texts, ({ question }) => question)],
      [
        "copying",
        () => hides?.({ draw, words: VOCABULARY[split], prose: sentences, tokens }).document ?? "",
      ],
      ["programs", () => joined(code, ({ question, answer }) => `${question}\n${answer}`)],
    ];
    const [kind, make] = makes[index % makes.length] ?? ["", () => ""];
    const content = make();
    if (estimateTokens(content) === 0) {
      throw new TrainingError(`Cannot make a document of ${kind}: there is nothing to make it of`);
    }
    return { source: `document_${kind}`, messages: [{ role: "user", content }] };
  });
}
