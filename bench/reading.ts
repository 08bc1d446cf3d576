/**
 * Measures what it takes to read a long prompt whole, and in pieces: `deno task bench-reading`.
 *
 * @module
 */

import { availableParallelism } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import { loadModel, type Model } from "../mod.ts";
import { loadPolicy } from "../plugins/mod.ts";
import { countsOf, runCommand } from "./command.ts";
import { median } from "./statistics.ts";
import { benchText, repeated } from "./text.ts";

const USAGE = `Usage: deno task bench-reading [options]

Reads a prompt whole and in pieces, one after the other in each round, and shows medians.

  --policy snapkv       the policy that evicts
  --tokens 8000         tokens of the prompt
  --budget 512          tokens per KV head that are kept at the end
  --every 1024          tokens of a piece
  --keep 2048           tokens per KV head that are left behind each piece
  --rounds 1            how often
  --threads N           threads (default: one per processor)
  --model NAME          name, folder or .gguf file
  --help                show this
`;

/** One reading. */
interface Run {
  readonly seconds: number;
  /** Of all threads. */
  readonly processor: number;
  readonly peak: number;
  readonly evictions: number;
}

async function read(
  model: Model,
  expression: string,
  ids: readonly number[],
  budget: number,
): Promise<Run> {
  await using loaded = await loadPolicy(expression);
  await using session = model.session({ policy: loaded.policy, budget: { tokens: budget } });
  const used = process.cpuUsage();
  const begun = performance.now();
  const { bytes } = await session.read({ ids });
  const { user, system } = process.cpuUsage(used);
  return {
    seconds: (performance.now() - begun) / 1000,
    processor: (user + system) / 1e6,
    peak: bytes.before,
    evictions: session.stats().readEvictions + 1,
  };
}

async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      policy: { type: "string", default: "snapkv" },
      tokens: { type: "string", default: "8000" },
      budget: { type: "string", default: "512" },
      every: { type: "string", default: "1024" },
      keep: { type: "string", default: "2048" },
      rounds: { type: "string", default: "1" },
      threads: { type: "string", default: String(availableParallelism()) },
      model: { type: "string", default: "smollm2-135m-instruct" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return console.log(USAGE);
  const count = countsOf(values);
  await using model = await loadModel(values.model, { threads: count("threads") });
  const tokens = count("tokens");
  const text = await benchText();
  const page = model.tokenizer.encode(text);
  const ids = repeated(page, tokens);
  const pieces = `while_reading(${values.policy},every=${count("every")},keep=${count("keep")})`;
  const runs: Record<string, Run[]> = { [values.policy]: [], [pieces]: [] };
  for (let round = 0; round < count("rounds"); round++) {
    for (const [name, done] of Object.entries(runs)) {
      done.push(await read(model, name, ids, count("budget")));
    }
  }
  console.log(`${model.name}: ${tokens} tokens, ${count("budget")} kept\n`);
  console.log(
    "| policy | seconds | tokens/s | processor seconds | peak of the cache | evictions |",
  );
  console.log("| --- | --- | --- | --- | --- | --- |");
  for (const [name, done] of Object.entries(runs)) {
    const of = (pick: (run: Run) => number) => median(done.map(pick));
    const cells = [
      `\`${name}\``,
      of((run) => run.seconds).toFixed(1),
      (tokens / of((run) => run.seconds)).toFixed(0),
      of((run) => run.processor).toFixed(1),
      `${(of((run) => run.peak) / 2 ** 20).toFixed(1)} MiB`,
      String(of((run) => run.evictions)),
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
}

if (import.meta.main) await runCommand(main);
