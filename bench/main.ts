/**
 * Measures kvjudge beside llama.cpp: `deno task bench`.
 *
 * @module
 */

import { cpus } from "node:os";
import process from "node:process";
import { KvjudgeError } from "../mod.ts";
import { resolveModel } from "../runtime/models/mod.ts";
import type { Engine } from "./engine/spawn.ts";
import type { MeasureCommand, Measurement } from "./engine/protocol.ts";
import { type KvjudgeEngine, startKvjudge } from "./kvjudge.ts";
import { type BenchOptions, parseOptions, USAGE } from "./options.ts";
import { formatShapes, measureShapes } from "./shapes.ts";
import { startLlamaCpp } from "./peers/llama_cpp.ts";
import { compareQuality } from "./quality.ts";
import { formatReport } from "./report.ts";
import { EVICTING_POLICY, type PeakMemory, type Results, toJson, workOut } from "./results.ts";
import { type Contestant, DISTURBED, runRounds, type Sample, type Task } from "./rounds.ts";
import { benchText, repeated } from "./text.ts";

/** Length of the prompt that memory is measured with, where none is longer. */
const MEMORY_TOKENS = 4096;

/** Room in llama.cpp's context beside the prompt and the answer. */
const SPARE_TOKENS = 32;

async function bench(options: BenchOptions): Promise<Results> {
  const { threads, precision, rounds, steps, budget } = options;
  const source = await resolveModel(options.model);
  await using stack = new AsyncDisposableStack();
  const kvjudge = stack.use(await startKvjudge({ source, precision, threads }));
  const [longest = 0] = options.lengths.slice(-1);
  const ids = await readIds(kvjudge, Math.max(longest, MEMORY_TOKENS));
  const peers = await startPeers(stack, source, longest + steps + SPARE_TOKENS, threads);
  note(`${cpus()[0]?.model ?? "?"}, ${threads} threads, ${kvjudge.precision}, ${rounds} rounds`);

  const own: Contestant = { name: "kvjudge", engine: kvjudge };
  const tasks = planTasks(options, own, peers);
  const samples = await runRounds(tasks, { rounds, steps, budget, ids, onSample: noteSample });
  const disturbed = samples.filter(({ foreignLoad }) => foreignLoad > DISTURBED).length;
  if (disturbed > 0) {
    note(
      `Other programs took more than ${
        DISTURBED * 100
      } % of the processors during ${disturbed} of ` +
        `${samples.length} measurements, even when repeated. Those count only where there is no ` +
        "other, and then there is no ratio.",
    );
  }
  note("Measuring memory and quality");
  const memoryIds = ids.slice(0, Math.max(longest, MEMORY_TOKENS));
  const peakMemory = await measureMemory(options, source, memoryIds, peers.length > 0);
  await using reference = await startKvjudge({ source, precision: "fp32", threads });
  const quality = await compareQuality(reference, [own, ...peers], ids, options.positions);
  return { ...workOut(samples), peakMemory, quality };
}

/** Token ids of the bench's text, repeated until there are enough. */
async function readIds(kvjudge: KvjudgeEngine, count: number): Promise<readonly number[]> {
  return repeated(await kvjudge.encode(await benchText()), count);
}

/** How llama.cpp is started, by the name of each format that the file can have. */
function llamaFormats(file: string, contextSize: number, threads: number) {
  return (["Q8_0", "source"] as const).map((format) => ({
    name: format === "source" ? sourceName(file) : "llama_cpp_q8_0",
    start: () => startLlamaCpp({ file, format, threads, contextSize }),
  }));
}

/** Starts llama.cpp in every format, or says why it cannot take part. */
async function startPeers(
  stack: AsyncDisposableStack,
  file: string,
  contextSize: number,
  threads: number,
): Promise<Contestant[]> {
  const peers: Contestant[] = [];
  try {
    if (!file.endsWith(".gguf")) throw new Error("It reads .gguf files only.");
    for (const { name, start } of llamaFormats(file, contextSize, threads)) {
      peers.push({ name, engine: stack.use(await start()) });
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    note(`llama.cpp does not take part, so there are no ratios: ${reason}`);
  }
  return peers;
}

/** `llama_cpp_q4_1` for `….Q4_1.gguf`. */
function sourceName(file: string): string {
  const [, type = "source"] = /[.-](\w+)\.gguf$/.exec(file) ?? [];
  return `llama_cpp_${type.toLowerCase()}`;
}

function planTasks(
  { lengths, budget, policies: atLongest }: BenchOptions,
  own: Contestant,
  peers: readonly Contestant[],
): Task[] {
  return lengths.flatMap((length) => {
    const policies = length <= budget
      ? []
      : length === lengths.at(-1)
      ? atLongest
      : [EVICTING_POLICY];
    return [
      { ...own, length },
      ...policies.map((policy) => ({ ...own, length, policy })),
      ...peers.map((peer) => ({ ...peer, length })),
    ];
  });
}

/** Peak memory of processes that do nothing but read one prompt, evict if they can, and answer. */
async function measureMemory(
  { precision, threads, budget }: BenchOptions,
  source: string,
  ids: readonly number[],
  withPeers: boolean,
): Promise<PeakMemory> {
  const bytes = new Map<string, number>();
  const measure = async (name: string, start: () => Promise<Engine>, policy?: string) => {
    await using fresh = await start();
    const command: MeasureCommand = {
      do: "measure",
      ids,
      steps: 8,
      ...(policy === undefined ? {} : { policy, budget }),
    };
    await fresh.ask<Measurement>(command);
    bytes.set(name, (await fresh.ask<number>({ do: "memory" })).value);
  };
  await measure("kvjudge", () => startKvjudge({ source, precision, threads }), EVICTING_POLICY);
  const formats = withPeers ? llamaFormats(source, ids.length + SPARE_TOKENS, threads) : [];
  for (const { name, start } of formats) {
    await measure(name, start);
  }
  return { tokens: ids.length, bytes };
}

function noteSample({ round, name, length, policy, value, foreignLoad }: Sample): void {
  const speed = (tokens: number, ms: number) => (tokens / ms * 1000).toFixed(1);
  note(
    `round ${round + 1}  ${length} tokens  ${name}${policy === undefined ? "" : ` ${policy}`}: ` +
      `prefill ${speed(length, value.prefillMs)}, decode ${speed(value.steps, value.decodeMs)}` +
      (foreignLoad > DISTURBED ? `, disturbed (${(foreignLoad * 100).toFixed(0)} %)` : ""),
  );
}

const note = (text: string) => console.error(text);

if (import.meta.main) {
  try {
    const options = parseOptions(Deno.args);
    if (options.help) {
      console.log(USAGE);
    } else if (options.shapes.length > 0) {
      const rows = await measureShapes(options, await benchText(), note);
      console.log(formatShapes(rows));
      if (options.json) console.log(JSON.stringify(rows));
    } else {
      const results = await bench(options);
      console.log(formatReport(results, options.budget));
      if (options.json) console.log(JSON.stringify(toJson(results)));
    }
  } catch (error) {
    if (!(error instanceof KvjudgeError)) throw error;
    note(error.message);
    process.exitCode = 2;
  }
}
