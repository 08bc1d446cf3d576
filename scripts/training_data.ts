/**
 * Makes the training and held-out conversations of the shipped soft tokens, as
 * `docs/training.md` describes them:
 *
 * ```
 * deno run --allow-read --allow-write scripts/training_data.ts instructions.sharegpt.json \
 *   shakespeare.txt OUT_FOLDER
 * ```
 *
 * `instructions.sharegpt.json` holds ShareGPT records with a `source`, the task that they come from.
 * The tasks in {@linkcode HELD_OUT} are never trained on.
 *
 * @module
 */
import { join } from "node:path";
import { createPrng, type Prng } from "../policies/_random.ts";
import { lookups } from "./training_data/lookups.ts";
import { asMessages, packed, type Recipe, type Single, texts } from "./training_data/recipes.ts";

/** Tasks that only the held-out prompts come from. */
const HELD_OUT = new Set(["wiki", "ropes", "adversarial", "dbpedia", "rotten", "qasc", "social"]);

interface ShareGptRecord {
  readonly source: string;
  readonly conversations: readonly { readonly from: string; readonly value: string }[];
}

// Longer conversations of the source mix tasks, so only single exchanges keep the split clean.
function singles(records: readonly ShareGptRecord[]): Single[] {
  return records.flatMap(({ source, conversations }) => {
    const [question, answer] = conversations;
    if (conversations.length !== 2 || !question || !answer) return [];
    return [{
      source,
      question: question.value.trim(),
      answer: answer.value.replace("<|endoftext|>", "").trim(),
    }];
  });
}

function shuffled<T>(items: readonly T[], random: Prng): T[] {
  return items.map((item) => ({ item, key: random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

function trainingSet(pool: readonly Single[], haystack: string, random: Prng): Recipe[] {
  const code = pool.filter(({ source }) => source === "codegen");
  const general = shuffled(pool.filter(({ source }) => source !== "codegen"), random);
  const long = general.filter(({ question }) => question.length > 1000 && question.length < 6000);
  return shuffled([
    ...shuffled(code, random).slice(0, 120).map((single) => asMessages([single])),
    ...packed(code, 80, random),
    ...long.slice(0, 600).map((single) => asMessages([single])),
    ...packed(general, 500, random),
    ...texts(general, 400, random),
    ...lookups(haystack, 400, random),
  ], random);
}

function heldOutSet(pool: readonly Single[], random: Prng): Recipe[] {
  const chosen = (least: number, most: number, count: number) =>
    shuffled(pool, random)
      .filter(({ question }) => question.length > least && question.length < most)
      .slice(0, count)
      .map((single) => asMessages([single]));
  return [
    ...chosen(1100, 2600, 50),
    ...packed(pool, 15, random, { least: 1200, most: 2600 }),
    ...chosen(4200, 6600, 40),
    ...packed(pool, 30, random, { least: 4200, most: 6400 }),
  ];
}

if (import.meta.main) {
  const [source, haystack, folder] = Deno.args;
  if (!source || !haystack || !folder) {
    console.error("usage: training_data.ts CONVERSATIONS.json HAYSTACK.txt OUT_FOLDER");
    Deno.exit(2);
  }
  const all = singles(JSON.parse(await Deno.readTextFile(source)));
  const random = createPrng(2509, 10798);
  const trained = all.filter((single) => !HELD_OUT.has(single.source));
  const held = all.filter((single) => HELD_OUT.has(single.source));
  const sets = {
    "train.jsonl": trainingSet(trained, await Deno.readTextFile(haystack), random),
    "held_out.jsonl": heldOutSet(held, random),
  };
  await Deno.mkdir(folder, { recursive: true });
  for (const [name, recipes] of Object.entries(sets)) {
    const lines = recipes.map((recipe) => `${JSON.stringify(recipe)}\n`);
    await Deno.writeTextFile(join(folder, name), lines.join(""));
    console.log(`${name}: ${recipes.length} conversations`);
  }
}
