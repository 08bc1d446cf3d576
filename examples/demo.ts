/**
 * One long document, one question, and what each policy remembers of it at the same small budget.
 *
 *     deno task demo [--model NAME] [--budget 256] [--threads N] [--characters N]
 *
 * @module
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { interruptible } from "../commands/_interrupt.ts";
import { formatBytes, note, write } from "../commands/_output.ts";
import { openProgress, type Progress } from "../commands/_progress.ts";
import { reportError } from "../commands/_report_error.ts";
import * as kvjudge from "../mod.ts";

const DOCUMENT = new URL("./speckled_band.txt", import.meta.url);
const FACT = "The number of the strong-box is 4719362.";
const QUESTION = "What is the number of the strong-box?";
const WANTED = "4719362";

const CONTESTANTS: readonly (readonly [label: string, policy: kvjudge.Policy])[] = [
  ["Full cache", kvjudge.full()],
  ["SnapKV", kvjudge.snapKv()],
  ["H2O", kvjudge.h2o()],
  ["Judge Q", kvjudge.judgeQ()],
  ["Oracle", kvjudge.oracle()],
];

const NOTES = `answer   right if it holds ${WANTED}
evict    gathering evidence, scoring, selecting and compacting; what a policy observes while the
         prompt is read is part of its prefill
SnapKV   judges with the last 32 tokens of the prompt, which hold the question
H2O      judges with every token of the prompt
Judge Q  judges with 32 soft tokens behind the prompt, trained to attend as the answer will; where
         none ship for a model they are random, and a note says so
Oracle   judges with the full cache's own answer: not a method, but what the budget could hold

This is one question. It shows how the policies work, not which is best.
`;

interface Result {
  readonly label: string;
  readonly right: boolean;
  readonly stats: kvjudge.SessionStats;
}

const count = new Intl.NumberFormat("en");
const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(2)} s`;

async function demo(flags: Flags, signal: AbortSignal): Promise<void> {
  using progress = await openProgress();
  const document = around(await Deno.readTextFile(DOCUMENT), FACT, flags.characters);
  write(`Loading ${flags.model} (the first time it is fetched and its weights are converted) …\n`);
  await using model = await kvjudge.loadModel(flags.model, {
    threads: flags.threads,
    signal,
    onProgress: Deno.stderr.isTerminal() ? progress.fetching : tellTenths(),
  });
  progress.clear();
  const before = model.tokenizer.encode(document.slice(0, document.indexOf(FACT))).length;
  const all = model.tokenizer.encode(document).length;
  write(`
Model     ${model.name}, ${model.precision}, ${flags.threads} threads
Document  from "The Adventure of the Speckled Band" (1892), ${count.format(all)} tokens
Planted   ${FACT}  (after ${count.format(before)} tokens)
Question  ${QUESTION}
Budget    ${flags.budget}${/^\d+$/.test(flags.budget) ? " tokens per KV head" : ""}

`);
  const results: Result[] = [];
  for (const [label, policy] of CONTESTANTS) {
    await using session = model.session({ policy, budget: kvjudge.parseBudget(flags.budget) });
    const answer = session.ask(document, QUESTION, {
      maxTokens: 32,
      signal,
      onProgress: progress.reading,
    });
    write(`${label} reads …\n`);
    await show(answer, progress);
    signal.throwIfAborted();
    const stats = session.stats();
    results.push({ label, right: answer.text.includes(WANTED), stats });
    for (const text of stats.notes) write(`  note: ${text}\n`);
  }
  write(`\n${table(results)}\n${NOTES}`);
}

/** The part of a text around a sentence. */
function around(text: string, sentence: string, characters: number): string {
  const middle = text.indexOf(sentence) + sentence.length / 2;
  const start = Math.max(0, Math.round(middle - characters / 2));
  return text.slice(start, start + Math.max(characters, sentence.length));
}

/** Shows an answer as it is made, its lines indented. */
async function show(answer: kvjudge.Generation, progress: Progress): Promise<void> {
  let started = false;
  for await (const text of answer) {
    progress.clear();
    write((started ? "" : "  ") + text.replaceAll("\n", "\n  "));
    started = true;
  }
  write("\n");
}

/** Layers and KV heads may keep different numbers. */
function meanOf(kept: readonly number[]): number {
  return Math.round(kept.reduce((sum, count) => sum + count, 0) / kept.length);
}

function table(results: readonly Result[]): string {
  const rows = results.map((
    { label, right, stats: { kept, promptTokens, bytes, times, steps } },
  ) => [
    label,
    right ? "right" : "wrong",
    `${count.format(meanOf(kept.flat()))} of ${count.format(promptTokens)}`,
    `${formatBytes(bytes.before)} → ${formatBytes(bytes.after)}`,
    seconds(times.prefill),
    seconds(times.evidence + times.selection + times.compaction),
    seconds(times.decode),
    times.decode > 0 ? (1000 * steps / times.decode).toFixed(0) : "–",
  ]);
  const all = [
    ["policy", "answer", "tokens kept", "cache", "prefill", "evict", "decode", "tok/s"],
    ...rows,
  ];
  const width = (column: number) => Math.max(...all.map((row) => row[column]?.length ?? 0));
  return all.map((row) =>
    row.map((cell, column) =>
      column < 2 ? cell.padEnd(width(column)) : cell.padStart(width(column))
    ).join("  ") + "\n"
  ).join("");
}

/** Tells of a download without a terminal: a line for each tenth. */
function tellTenths(): (progress: kvjudge.FetchProgress) => void {
  let last = "";
  return ({ file, received, total, phase }) => {
    const tenths = total > 0 ? Math.floor(10 * received / total) : 0;
    const line = `fetching ${file} (${phase}): ${10 * tenths} % of ${formatBytes(total)}`;
    if (line !== last) note(line);
    last = line;
  };
}

interface Flags {
  readonly model: string;
  readonly budget: string;
  readonly threads: number;
  readonly characters: number;
}

function readFlags(args: string[]): Flags {
  try {
    const { values } = parseArgs({
      args,
      options: {
        model: { type: "string", default: "smollm2-135m-instruct" },
        budget: { type: "string", default: "256" },
        threads: { type: "string", default: String(availableParallelism()) },
        characters: { type: "string", default: "100000" },
      },
    });
    kvjudge.parseBudget(values.budget);
    const [threads, characters] = [Number(values.threads), Number(values.characters)];
    if (!(characters >= 1)) throw new TypeError("--characters must be at least 1");
    return { ...values, threads, characters };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new kvjudge.KvjudgeError(`Cannot run the demo: ${error.message}`);
  }
}

try {
  const flags = readFlags(Deno.args);
  await interruptible((signal) => demo(flags, signal));
} catch (error) {
  const { text, exitCode } = reportError(error, "deno task demo", false);
  if (text !== "") note(text);
  Deno.exit(exitCode);
}
