/**
 * Measures answers that are decoded together, beside llama.cpp with as many sequences:
 * `deno task bench-sequences`.
 *
 * @module
 */

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { resolveModel } from "../runtime/models/mod.ts";
import type { Engine } from "./engine/spawn.ts";
import type { TogetherCommand, TogetherMeasurement } from "./engine/protocol.ts";
import { startKvjudge } from "./kvjudge.ts";
import { startLlamaCpp } from "./peers/llama_cpp.ts";
import { median } from "./statistics.ts";
import { benchText, repeated } from "./text.ts";

const USAGE = `Usage: deno task bench-sequences [options]

Tokens per second of all answers together, kvjudge beside llama.cpp. Rounds alternate.

  --counts 1,2,4,8    answers that are decoded together
  --prompt 512        tokens of the prompt that nothing is evicted from
  --document 2048     tokens of the document that is compressed
  --budget 256        tokens per KV head that are kept of it
  --policy snapkv     what compresses it
  --steps 128         tokens of each answer
  --rounds 3          rounds at most; medians count
  --minutes 8         no further round begins that would end later
  --threads N         threads (default: one per processor)
  --processor-time    count processors' time: for a machine that is busy, with --threads 1
  --model NAME        name or .gguf file
  --help              show this
`;

interface Task {
  readonly name: string;
  readonly ids: readonly number[];
  readonly eviction: Pick<TogetherCommand, "policy" | "budget">;
}

const { values } = parseArgs({
  options: {
    counts: { type: "string", default: "1,2,4,8" },
    prompt: { type: "string", default: "512" },
    document: { type: "string", default: "2048" },
    budget: { type: "string", default: "256" },
    policy: { type: "string", default: "snapkv" },
    steps: { type: "string", default: "128" },
    rounds: { type: "string", default: "3" },
    minutes: { type: "string", default: "8" },
    threads: { type: "string", default: String(availableParallelism()) },
    model: { type: "string", default: "smollm2-135m-instruct" },
    "processor-time": { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

/** Tokens per second of one measurement, or per second of processors' time. */
async function pace(engine: Engine, command: TogetherCommand): Promise<number> {
  const { value } = await engine.ask<TogetherMeasurement>(command);
  return value.tokens * 1000 / (values["processor-time"] ? value.processorMs : value.decodeMs);
}

/** Divides the time that all measurements may take; each has one round, however long that takes. */
function shares(total: number, measurements: number) {
  const start = performance.now();
  let [index, rounds, begun, longest] = [0, 0, start, 0];
  return {
    next() {
      index++;
      rounds = 0;
      longest = 0;
      begun = performance.now();
    },
    allowsRound: () =>
      rounds === 0 || performance.now() + longest - start <= total * index / measurements,
    endRound() {
      const now = performance.now();
      longest = Math.max(longest, now - begun);
      begun = now;
      rounds++;
    },
  };
}

async function bench(): Promise<void> {
  const [prompt, document, budget, steps, rounds, threads] = [
    ...[values.prompt, values.document, values.budget],
    ...[values.steps, values.rounds, values.threads],
  ].map(Number) as [number, number, number, number, number, number];
  const counts = values.counts.split(",").map(Number);
  const most = Math.max(...counts);
  const source = await resolveModel(values.model);
  await using stack = new AsyncDisposableStack();
  const kvjudge = stack.use(
    await startKvjudge({ source, precision: "auto", threads, sequences: most }),
  );
  const text = await benchText();
  const some = await kvjudge.encode(text);
  const ids = (length: number) => repeated(some, length);
  const tasks: readonly Task[] = [
    { name: `prompt of ${prompt}`, ids: ids(prompt), eviction: {} },
    {
      name: `document of ${document} kept to ${budget}`,
      ids: ids(document),
      eviction: { policy: values.policy, budget },
    },
  ];
  const share = shares(Number(values.minutes) * 60_000, tasks.length * counts.length);
  for (const { name, ids, eviction } of tasks) {
    console.log(`\n${name}\n\n| answers | kvjudge, tok/s | llama.cpp, tok/s | ratio |`);
    console.log("| ---: | ---: | ---: | ---: |");
    for (const sequences of counts) {
      share.next();
      await using llamaCpp = await startLlamaCpp({
        ...{ file: source, format: "source", threads, sequences },
        contextSize: sequences * (ids.length + steps + 32),
      });
      const command = { do: "together", ids, steps, sequences } as const;
      const paces: [number, number][] = [];
      while (paces.length < rounds && share.allowsRound()) {
        const own = await pace(kvjudge, { ...command, ...eviction });
        paces.push([own, await pace(llamaCpp, command)]);
        share.endRound();
      }
      const own = median(paces.map(([one]) => one));
      const other = median(paces.map(([, one]) => one));
      const ratio = median(paces.map(([a, b]) => a / b));
      console.log(
        `| ${sequences} | ${own.toFixed(1)} | ${other.toFixed(1)} | ${ratio.toFixed(2)} |`,
      );
    }
  }
}

if (import.meta.main) {
  if (values.help) console.log(USAGE);
  else await bench();
}
