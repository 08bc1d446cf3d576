/**
 * Makes the training and held-out conversations of the shipped soft tokens, as
 * `docs/training.md` describes them:
 *
 * ```
 * deno run --allow-read --allow-write scripts/training_data.ts instructions.sharegpt.json \
 *   shakespeare.txt OUT_FOLDER [STRETCH]
 * ```
 *
 * STRETCH makes what consists of several parts so many times as long, for models whose sliding
 * windows see all of a short prompt anyway: 2 gives prompts of up to 3,000 tokens.
 *
 * `instructions.sharegpt.json` holds ShareGPT records with a `source`, the task that they come from.
 * The tasks in {@linkcode HELD_OUT} are never trained on. The same files give the same bytes.
 *
 * @module
 */
import { join } from "node:path";
import { createPrng, type Prng } from "../policies/_random.ts";
import { isRecord } from "../runtime/checkpoint/read_json.ts";
import { writeAtomically } from "../runtime/atomic_file.ts";
import { TrainingError } from "../training/errors.ts";
import { lookups } from "./training_data/lookups.ts";
import {
  asMessages,
  packed,
  questionFirst,
  type Recipe,
  type Single,
  texts,
} from "./training_data/recipes.ts";

/** Tasks that only the held-out prompts come from. */
export const HELD_OUT: ReadonlySet<string> = new Set([
  ...["wiki", "ropes", "adversarial", "dbpedia", "rotten", "qasc", "social"],
]);

// Longer conversations of the source mix tasks, so only single exchanges keep the split clean.
function singles(records: readonly unknown[]): Single[] {
  return records.flatMap((record, index) => {
    const { source, conversations } = isRecord(record) ? record : {};
    if (!Array.isArray(conversations)) {
      throw new TrainingError(`Cannot use record ${index + 1}: it has no list of conversations`);
    }
    if (conversations.length !== 2) return [];
    const [question, answer] = conversations.map((turn) => isRecord(turn) ? turn.value : undefined);
    if (typeof source === "string" && typeof question === "string" && typeof answer === "string") {
      const answered = answer.replace("<|endoftext|>", "").trim();
      return [{ source, question: question.trim(), answer: answered }];
    }
    throw new TrainingError(
      `Cannot use record ${index + 1}: it needs a source and two turns with a text as value`,
    );
  });
}

function shuffled<T>(items: readonly T[], random: Prng): T[] {
  return items.map((item) => ({ item, key: random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

function trainingSet(
  pool: readonly Single[],
  { haystack, stretch, random }: { haystack: string; stretch: number; random: Prng },
): Recipe[] {
  const bounds = { least: 1600, most: 5200 * stretch };
  const code = pool.filter(({ source }) => source === "codegen");
  const general = shuffled(pool.filter(({ source }) => source !== "codegen"), random);
  const long = general.filter(({ question }) => question.length > 1000 && question.length < 6000);
  return shuffled([
    ...shuffled(code, random).slice(0, 120).map((single) => asMessages([single])),
    ...packed(code, 80, random, bounds),
    ...long.slice(0, 600).map((single) => asMessages([single])),
    ...packed(general, 500, random, bounds),
    ...texts(general, 400, random, stretch),
    ...lookups(haystack, 400, random, stretch),
  ], random);
}

function heldOutSet(pool: readonly Single[], stretch: number, random: Prng): Recipe[] {
  const chosen = (least: number, most: number, count: number) =>
    shuffled(pool, random)
      .filter(({ question }) => question.length > least && question.length < most)
      .slice(0, count)
      .map((single) => asMessages([single]));
  return [
    ...chosen(1100, 2600, 50),
    ...packed(pool, 15, random, { least: 1200, most: 2600 }),
    ...chosen(4200, 6600, 40),
    ...packed(pool, 30, random, { least: 4200 * stretch, most: 6400 * stretch }),
  ];
}

/** The two sets. */
export interface TrainingData {
  readonly train: readonly Recipe[];
  readonly heldOut: readonly Recipe[];
}

/**
 * Makes both sets.
 *
 * @param records ShareGPT records with a source.
 * @param haystack Prose to hide statements in.
 * @param stretch How many times as long what consists of several parts is, 1 to 8.
 * @throws {TrainingError} If a record is broken, or there is too little of anything.
 */
export function trainingData(
  records: readonly unknown[],
  haystack: string,
  stretch = 1,
): TrainingData {
  if (!(stretch >= 1 && stretch <= 8)) {
    throw new TrainingError(`Cannot make the sets: STRETCH must be from 1 to 8, got ${stretch}`);
  }
  const all = singles(records);
  const random = createPrng(2509, 10798);
  const trained = all.filter((single) => !HELD_OUT.has(single.source));
  const held = all.filter((single) => HELD_OUT.has(single.source));
  return {
    train: trainingSet(trained, { haystack, stretch, random }),
    heldOut: heldOutSet(held, stretch, random),
  };
}

async function main(
  [source, haystack, folder, stretch = "1", ...rest]: readonly string[],
): Promise<void> {
  if (!source || !haystack || !folder || rest.length > 0) {
    throw new TrainingError(
      "usage: training_data.ts CONVERSATIONS.json HAYSTACK.txt OUT_FOLDER [STRETCH]",
    );
  }
  const records = parse(await read(source), source);
  const { train, heldOut } = trainingData(
    records,
    await read(haystack),
    Number(stretch),
  );
  await Deno.mkdir(folder, { recursive: true });
  const sets = [
    ["train.jsonl", train],
    ["held_out.jsonl", heldOut],
    ["held_out_front.jsonl", heldOut.map(questionFirst)],
  ] as const;
  for (const [name, recipes] of sets) {
    const lines = recipes.map((recipe) => `${JSON.stringify(recipe)}\n`);
    await writeAtomically(join(folder, name), new TextEncoder().encode(lines.join("")));
    console.log(`${name}: ${recipes.length} conversations`);
  }
}

async function read(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound
      ? "it does not exist"
      : error instanceof Error
      ? error.message
      : error;
    throw new TrainingError(`Cannot read ${path}: ${reason}`, { cause: error });
  }
}

function parse(text: string, path: string): readonly unknown[] {
  try {
    const records: unknown = JSON.parse(text);
    if (Array.isArray(records)) return records;
  } catch (cause) {
    throw new TrainingError(`Cannot read ${path}: it is not JSON`, { cause });
  }
  throw new TrainingError(`Cannot read ${path}: it is not a list of ShareGPT records`);
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    if (!(error instanceof TrainingError)) throw error;
    console.error(`error: ${error.message}`);
    Deno.exit(2);
  }
}
