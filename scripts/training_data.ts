/**
 * Makes the training and held-out conversations of the shipped soft tokens, as
 * `docs/training.md` describes them:
 *
 * ```
 * deno run --allow-read --allow-write scripts/training_data.ts instructions.sharegpt.json \
 *   shakespeare.txt OUT_FOLDER [STRETCH] [--copying COUNT] [--documents COUNT] \
 *   [--tokens LEAST,MOST] [--seed SEED]
 * ```
 *
 * STRETCH makes what consists of several parts so many times as long, for models whose sliding
 * windows see all of a short prompt anyway: 2 gives prompts of up to 3,000 tokens.
 *
 * `--copying` adds tasks whose answer is copied from the text and known (`copying.jsonl`), others of other
 * wording and names to validate with (`copying_validation.jsonl`), and both kinds of conversations in one
 * (`mixed.jsonl`). `--documents` adds texts without a question (`documents.jsonl`,
 * `documents_validation.jsonl`), for `--target reconstruct`. Both have `--tokens`, 500,4000 if absent.
 *
 * `instructions.sharegpt.json` holds ShareGPT records with a `source`, the task that they come from.
 * The tasks in {@linkcode HELD_OUT} are never trained on. The same files give the same bytes.
 *
 * @module
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createPrng, type Prng } from "../policies/_random.ts";
import { isRecord } from "../runtime/checkpoint/read_json.ts";
import { writeAtomically } from "../runtime/atomic_file.ts";
import { TrainingError } from "../training/errors.ts";
import { type CopyingRequest, copyingTasks } from "./training_data/copying/copying.ts";
import { documents } from "./training_data/documents.ts";
import { lookups } from "./training_data/lookups.ts";
import {
  asMessages,
  packed,
  questionFirst,
  type Recipe,
  type Single,
  texts,
} from "./training_data/recipes.ts";
import { sentencesOf } from "./training_data/sentences.ts";

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

/** What is added to the conversations. */
export interface AddedOptions {
  /** Copying tasks, and documents without a question. */
  readonly copying: number;
  readonly documents: number;
  /** Least and most tokens of them, about. */
  readonly tokens: readonly [number, number];
  readonly seed: number;
}

/** So many of them for validation. */
const VALIDATION_SHARE = 0.1;

/** So much of the prose is for training, the end for validation. */
const TRAINING_PROSE = 0.8;

/**
 * Makes copying tasks and documents, with their validation splits, by the names of their files.
 *
 * @throws {TrainingError} If a record is broken, a length is out of range, or there is too little of
 * anything.
 */
function addedData(
  records: readonly unknown[],
  haystack: string,
  { copying, documents: texts, tokens, seed }: AddedOptions,
): ReadonlyMap<string, readonly Recipe[]> {
  const pool = singles(records).filter(({ source }) => !HELD_OUT.has(source));
  const sentences = sentencesOf(haystack);
  const end = Math.floor(TRAINING_PROSE * sentences.length);
  const general = pool.filter(({ source, question }) =>
    source !== "codegen" && question.length > 300
  );
  const prose = {
    train: [
      ...sentences.slice(0, end),
      ...general.flatMap(({ question }) => sentencesOf(question)),
    ],
    validation: sentences.slice(end),
  };
  const few = (count: number) => Math.ceil(VALIDATION_SHARE * count);
  const request = (split: CopyingRequest["split"], count: number) => ({
    ...{ split, tokens, seed, prose: prose[split] },
    count: split === "train" ? count : few(count),
  });
  const added = new Map<string, readonly Recipe[]>();
  if (copying > 0) {
    added.set("copying.jsonl", copyingTasks(request("train", copying)));
    added.set("copying_validation.jsonl", copyingTasks(request("validation", copying)));
  }
  if (texts > 0) {
    added.set("documents.jsonl", documents({ ...request("train", texts), pool }));
    added.set("documents_validation.jsonl", documents({ ...request("validation", texts), pool }));
  }
  return added;
}

const USAGE = "usage: training_data.ts CONVERSATIONS.json HAYSTACK.txt OUT_FOLDER [STRETCH] " +
  "[--copying COUNT] [--documents COUNT] [--tokens LEAST,MOST] [--seed SEED]";

async function main(given: readonly string[]): Promise<void> {
  const { positionals, options } = parseGiven(given);
  const [source, haystack, folder, stretch = "1", ...rest] = positionals;
  if (!source || !haystack || !folder || rest.length > 0) throw new TrainingError(USAGE);
  const records = parse(await read(source), source);
  const prose = await read(haystack);
  const { train, heldOut } = trainingData(records, prose, Number(stretch));
  const added = addedData(records, prose, options);
  const copying = added.get("copying.jsonl");
  await Deno.mkdir(folder, { recursive: true });
  const sets: readonly (readonly [string, readonly Recipe[]])[] = [
    ["train.jsonl", train],
    ["held_out.jsonl", heldOut],
    ["held_out_front.jsonl", heldOut.map(questionFirst)],
    ...added,
    ...copying ? [["mixed.jsonl", [...train, ...copying]] as const] : [],
  ];
  for (const [name, recipes] of sets) {
    const lines = recipes.map((recipe) => `${JSON.stringify(recipe)}\n`);
    await writeAtomically(join(folder, name), new TextEncoder().encode(lines.join("")));
    console.log(`${name}: ${recipes.length} conversations`);
  }
}

function parseGiven(
  given: readonly string[],
): { readonly positionals: readonly string[]; readonly options: AddedOptions } {
  try {
    const text = (value: string) => ({ type: "string" as const, default: value });
    const { positionals, values } = parseArgs({
      args: [...given],
      allowPositionals: true,
      options: {
        copying: text("0"),
        documents: text("0"),
        tokens: text("500,4000"),
        seed: text("0"),
      },
    });
    const [least = NaN, most = NaN] = values.tokens.split(",").map(Number);
    const count = (name: "copying" | "documents" | "seed") => {
      const value = Number(values[name]);
      if (Number.isSafeInteger(value) && value >= 0) return value;
      throw new TrainingError(
        `Cannot make the sets: --${name} must be 0 or more, got ${values[name]}`,
      );
    };
    const options = {
      copying: count("copying"),
      documents: count("documents"),
      tokens: [least, most] as const,
      seed: count("seed"),
    };
    return { positionals, options };
  } catch (error) {
    // What the parser refuses.
    if (error instanceof TypeError) throw new TrainingError(USAGE, { cause: error });
    throw error;
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
