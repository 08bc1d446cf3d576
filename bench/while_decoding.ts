/**
 * Measures long answers that are evicted while they are written: `deno task bench-while-decoding`.
 *
 * @module
 */

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { KvjudgeError, loadModel, type Model, type Policy } from "../mod.ts";
import { loadPolicy } from "../plugins/mod.ts";
import type { Engine, Sequence } from "../runtime/engine/mod.ts";
import { greedyToken } from "../runtime/sampling/greedy.ts";
import { createSession } from "../runtime/session/open.ts";
import { countsOf, runCommand } from "./command.ts";
import { benchText } from "./text.ts";

const USAGE = `Usage: deno task bench-while-decoding [options]

Decodes a long answer with full cache and with policies that evict while decoding. Every step is given
the same text, and its most likely token is compared with the full cache's.

  --policies a;b;c      policies that while_decoding wraps, or expressions of it
  --prompt 512          tokens that are read and evicted first
  --steps 2000          tokens that are decoded
  --target 256          tokens per KV head that each eviction leaves
  --every 64            tokens between two evictions
  --ends 200            tokens of the first and last stretch that are timed
  --alone               leave the full cache out, to which tokens are compared
  --threads N           threads (default: one per processor)
  --model NAME          name, folder or .gguf file
  --help                show this
`;

const POLICIES = "streaming_llm;knorm;keydiff;lagkv;tova;h2o;snapkv;expected_attention;judge_q";

/** What one answer came to. */
interface Run {
  readonly name: string;
  /** The most likely token at every step. */
  readonly likely: readonly number[];
  /** Most tokens that any layer ever held. */
  readonly held: number;
  /** Most allocated bytes of the cache during the first and the last stretch. */
  readonly bytes: readonly [first: number, last: number];
  /** Milliseconds of a token in the first and the last stretch, evictions and all. */
  readonly pace: readonly [first: number, last: number];
  readonly evictions: number;
  /** Milliseconds of all evictions. */
  readonly evicting: number;
  readonly decoding: number;
}

interface Settings {
  readonly prompt: readonly number[];
  /** The text that follows. */
  readonly text: readonly number[];
  readonly target: number;
  readonly ends: number;
}

/** Decodes a given text, and notes what each step would have said instead. */
async function decodeText(
  name: string,
  model: Model,
  policy: Policy,
  { prompt, text, target, ends }: Settings,
): Promise<Run> {
  const likely: number[] = [];
  const times: number[] = [];
  const bytes: number[] = [];
  let held = 0;
  let main: Sequence | undefined;
  const guided: Engine = {
    ...model.engine,
    config: { ...model.engine.config, eosIds: [] },
    async advance(sequence, input) {
      const outputs = await model.engine.advance(sequence, input);
      // A draft has a sequence of its own, and is no step of the answer.
      main ??= sequence;
      const step = sequence.position - prompt.length;
      const next = text[step];
      if (sequence !== main || step < 0 || next === undefined) return outputs;
      likely[step] = greedyToken(outputs.logits);
      times[step] = performance.now();
      if (step > 0) {
        const { cache } = sequence;
        bytes[step] = cache.bytes;
        held = Math.max(held, ...cache.mark().lengths);
      }
      outputs.logits[next] = Infinity;
      return outputs;
    },
  };
  const { facts, tokenizer } = model;
  const plain = { ...tokenizer, eosIds: [] };
  const now = () => performance.now();
  await using session = createSession(
    { engine: guided, tokenizer: plain, facts, now },
    { policy, budget: { tokens: target } },
  );
  for await (const _ of session.generate({ ids: prompt }, { maxTokens: text.length }));
  const { decodeEvictions, times: spent } = session.stats();
  const stretches = [[1, 1 + ends], [text.length - 1 - ends, text.length - 1]] as const;
  const [first = 0, last = 0] = stretches.map(([from, to]) =>
    ((times[to] ?? NaN) - (times[from] ?? NaN)) / ends
  );
  const [early = 0, late = 0] = stretches.map(([from, to]) => Math.max(...bytes.slice(from, to)));
  return {
    name,
    likely,
    held,
    bytes: [early, late],
    pace: [first, last],
    evictions: decodeEvictions,
    evicting: spent.evidence + spent.selection + spent.compaction,
    decoding: spent.decode,
  };
}

function row(run: Run, full: Run | undefined): string {
  const { name, likely, held, bytes, pace, evictions, evicting, decoding } = run;
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
  const equal = (from: number) => {
    if (!full) return "";
    const same = likely.slice(from).filter((id, step) => id === full.likely[from + step]);
    return percent(same.length / (likely.length - from));
  };
  const cells = [
    name,
    equal(0),
    equal(Math.floor(likely.length / 2)),
    String(held),
    bytes.map((count) => (count / 2 ** 20).toFixed(1)).join(" → "),
    pace.map((ms) => (1000 / ms).toFixed(1)).join(" → "),
    (pace[0] / pace[1]).toFixed(2),
    String(evictions),
    evictions === 0 ? "" : percent(evicting / (evicting + decoding)),
  ];
  return `| ${cells.join(" | ")} |`;
}

const COLUMNS = [
  "policy",
  "equal tokens",
  "second half",
  "most held",
  "MiB, first → last",
  "tokens/s, first → last",
  "last / first",
  "evictions",
  "share of time",
];

async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      policies: { type: "string", default: POLICIES },
      prompt: { type: "string", default: "512" },
      steps: { type: "string", default: "2000" },
      target: { type: "string", default: "256" },
      every: { type: "string", default: "64" },
      ends: { type: "string", default: "200" },
      threads: { type: "string", default: String(availableParallelism()) },
      model: { type: "string", default: "smollm2-135m-instruct" },
      alone: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return console.log(USAGE);
  const count = countsOf(values);
  const [target, every, ends] = [count("target"), count("every"), count("ends")];
  await using model = await loadModel(values.model, { threads: count("threads") });
  const book = model.tokenizer.encode(
    await benchText(),
  );
  const [prompt, steps] = [count("prompt"), count("steps")];
  if (prompt + steps > book.length || steps < 2 * ends) {
    throw new KvjudgeError(
      `Cannot decode ${steps} tokens after ${prompt}, timing ${ends} at both ends: the text has ` +
        `${book.length}; give a smaller --prompt, or --steps of at least twice --ends`,
    );
  }
  const settings = {
    prompt: book.slice(0, prompt),
    text: book.slice(prompt, prompt + steps),
    target,
    ends,
  };
  const run = async (expression: string) => {
    await using loaded = await loadPolicy(expression);
    return await decodeText(expression, model, loaded.policy, settings);
  };
  console.log(`| ${COLUMNS.join(" | ")} |\n|${" --- |".repeat(COLUMNS.length)}`);
  const full = values.alone ? undefined : await run("full");
  if (full) console.log(row(full, full));
  for (const name of values.policies.split(";")) {
    const wrapped = name.startsWith("while_decoding") || name === "full"
      ? name
      : `while_decoding(${name},every=${every},target=${target})`;
    console.log(row({ ...await run(wrapped), name }, full));
  }
}

if (import.meta.main) await runCommand(main);
