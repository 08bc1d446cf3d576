/**
 * Measures what caches in 16 and 8 bits cost and save: `deno task bench-cache-precision`.
 *
 * @module
 */

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { KvjudgeError, loadModel, type Model } from "../mod.ts";
import { loadPolicy } from "../plugins/mod.ts";
import { CACHE_PRECISIONS, type CachePrecision } from "../runtime/cache/narrow_rows.ts";
import { prefill } from "../runtime/engine/prefill.ts";
import { emptySequence, type Sequence } from "../runtime/engine/sequence.ts";
import { readPrompt } from "../runtime/evict/read.ts";
import { PRECISIONS } from "../runtime/weights/precisions.ts";
import { countsOf, runCommand } from "./command.ts";
import { compareLogits } from "./quality.ts";
import { median } from "./statistics.ts";
import { benchText } from "./text.ts";

const USAGE = `Usage: deno task bench-cache-precision [options]

Reads a prompt, evicts, rounds the cache, and decodes a given text behind it: the Kullback-Leibler
divergence of each next token from that of the cache in 32-bit floats, and equal likeliest tokens.

  --policy snapkv       the policy that evicts
  --prompt 1024         tokens that are read and evicted
  --budget 256          tokens per KV head that are kept
  --steps 256           tokens that follow
  --precision auto      how weights are held: in int4 and int8 a step rounds what it works on, and
                        the slightest change of a cache shows as much as that rounding does
  --threads N           threads (default: one per processor)
  --model NAME          name, folder or .gguf file
  --help                show this
`;

interface Run {
  readonly logits: readonly Float32Array[];
  /** Bytes at rest. */
  readonly bytes: number;
  /** Milliseconds of rounding, of writing floats out, and of a step. */
  readonly times: { readonly rest: number; readonly wake: number; readonly step: number };
}

/** Median of a few goes. */
const GOES = 5;

async function decode(
  { engine }: Model,
  from: Sequence,
  text: readonly number[],
  precision: CachePrecision,
): Promise<Run> {
  using cache = await from.cache.fork();
  const sequence = { ...from, cache };
  const [rests, wakes, steps]: [number[], number[], number[]] = [[], [], []];
  let { bytes } = cache;
  for (let go = 0; precision !== "fp32" && go < GOES; go++) {
    rests.push(timed(() => cache.rest(precision)));
    ({ bytes } = cache);
    // Whoever makes room works with every layer.
    wakes.push(timed(() => void cache.reserve(0)));
  }
  const logits: Float32Array[] = [];
  for (const id of text) {
    const begun = performance.now();
    const step = await engine.advance(sequence, { ids: [id] });
    steps.push(performance.now() - begun);
    logits.push(step.logits.slice());
  }
  return {
    logits,
    bytes,
    times: { rest: median(rests), wake: median(wakes), step: median(steps) },
  };
}

function timed(work: () => void): number {
  const begun = performance.now();
  work();
  return performance.now() - begun;
}

async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      policy: { type: "string", default: "snapkv" },
      prompt: { type: "string", default: "1024" },
      budget: { type: "string", default: "256" },
      steps: { type: "string", default: "256" },
      precision: { type: "string", default: "auto" },
      threads: { type: "string", default: String(availableParallelism()) },
      model: { type: "string", default: "smollm2-135m-instruct" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return console.log(USAGE);
  const count = countsOf(values);
  const precision = PRECISIONS.find((one) => one === values.precision);
  if (precision === undefined) {
    throw new KvjudgeError(
      `Cannot measure with --precision ${values.precision}: give one of ${PRECISIONS.join(", ")}`,
    );
  }
  await using model = await loadModel(values.model, { threads: count("threads"), precision });
  const { engine } = model;
  const text = model.tokenizer.encode(
    await benchText(),
  );
  const [prompt, steps] = [count("prompt"), count("steps")];
  if (prompt + steps > text.length) {
    throw new KvjudgeError(
      `Cannot decode ${steps} tokens after ${prompt}: the text has ${text.length}; give fewer`,
    );
  }
  await using loaded = await loadPolicy(values.policy);
  using cache = engine.newCache();
  const sequence = emptySequence(cache);
  await readPrompt({
    ...{ engine, sequence, policy: loaded.policy, budget: count("budget"), scores: false },
    ...{ ids: text.slice(0, prompt), facts: await model.facts(), chunk: engine.chunk },
    now: () => performance.now(),
  });
  // The first step of a process is slower than the others.
  using warm = await cache.fork();
  await prefill(engine, { ...sequence, cache: warm }, text.slice(0, 2), {
    chunk: 1,
    observe: "none",
  });
  const following = text.slice(prompt, prompt + steps);
  console.log(
    `${model.name} in ${model.precision}, ${values.policy}: ${
      count("budget")
    } of ${prompt} tokens kept, ${steps} follow\n`,
  );
  console.log(
    "| precision | KL, mean | KL, largest | equal tokens | MiB at rest | rest | wake | step |",
  );
  console.log("| --- | --- | --- | --- | --- | --- | --- | --- |");
  let exact: Run | undefined;
  for (const precision of CACHE_PRECISIONS) {
    const run = await decode(model, sequence, following, precision);
    exact ??= run;
    const whole = exact.logits;
    const compared = run.logits.map((logits, at) => compareLogits(whole[at] ?? logits, logits, 1));
    const all = compared.map(({ divergence }) => divergence);
    const equal = compared.filter(({ agreement }) => agreement === 1);
    const { rest, wake, step } = run.times;
    const cells = [
      precision,
      (all.reduce((sum, one) => sum + one, 0) / all.length).toExponential(1),
      Math.max(...all).toExponential(1),
      `${(100 * equal.length / all.length).toFixed(1)} %`,
      (run.bytes / 2 ** 20).toFixed(2),
      ...[rest, wake, step].map((ms) => `${ms.toFixed(1)} ms`),
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
}

if (import.meta.main) await runCommand(main);
