/** kvjudge in a process of its own; see `kvjudge.ts`. @module */

import { appendFile, writeFile } from "node:fs/promises";
import { createPolicy, type Evidence, loadModel, type Model } from "../mod.ts";
import { globalLayers } from "../runtime/checkpoint/layer_kinds.ts";
import type { Precision } from "../runtime/models/mod.ts";
import { advanceTogether, type Sequence } from "../runtime/engine/mod.ts";
import { emptySequence } from "../runtime/engine/sequence.ts";
import { readPrompt } from "../runtime/evict/read.ts";
import { greedyToken } from "../runtime/sampling/greedy.ts";
import process from "node:process";
import { writeFollowed } from "./engine/follow.ts";
import type {
  FollowCommand,
  LogitsCommand,
  MeasureCommand,
  Measurement,
  TogetherCommand,
  TogetherMeasurement,
} from "./engine/protocol.ts";
import { peakMemory } from "./engine/memory.ts";
import { serve } from "./engine/serve.ts";

/** Loads a model. */
export interface OpenCommand {
  readonly do: "open";
  readonly source: string;
  readonly precision: Precision | "auto";
  readonly threads: number;
  /** Answers that are decoded together. @default {1} */
  readonly sequences?: number;
  /** Folder of converted weights. @default {as everywhere} */
  readonly home?: string;
}

/** Turns text into token ids. */
export interface EncodeCommand {
  readonly do: "encode";
  readonly text: string;
}

let opened: Model | undefined;

function getModel(): Model {
  if (opened === undefined) throw new Error("No model is open.");
  return opened;
}

async function measure({ ids, steps, policy: name, budget }: MeasureCommand): Promise<Measurement> {
  const model = getModel();
  const policy = await createPolicy(name ?? "full");
  await using session = model.session({ policy, budget: { tokens: budget ?? ids.length } });
  const progress: [number, number][] = [];
  const start = performance.now();
  const generation = session.generate({ ids }, {
    maxTokens: steps + 1,
    onProgress: (done) => progress.push([done, performance.now() - start]),
  });
  for await (const _text of generation) continue;
  const total = performance.now() - start;

  const stats = session.stats();
  const { prefill, evidence, selection, compaction } = stats.times;
  const { kvHeads, headDim } = model.config;
  const entriesOf = (layers: readonly (readonly number[])[]) =>
    layers.flat().reduce((sum, count) => sum + count, 0);
  const evicted = globalLayers(model.config);
  return {
    prefillMs: prefill,
    // What is left includes sampling, turning ids into text and the session's own work.
    decodeMs: total - prefill - evidence - selection - compaction,
    steps: stats.steps,
    cacheBytes: stats.bytes.after,
    eviction: {
      ms: evidence + selection + compaction,
      observedFrom: firstObserved(policy.evidence, ids.length),
      progress,
      bytes: {
        before: stats.bytes.before,
        after: stats.bytes.after,
        kept: entriesOf(stats.kept) * (2 * headDim * 4 + 4),
        entries: entriesOf(evicted.map((layer) => stats.kept[layer] ?? [])) / kvHeads /
          evicted.length,
      },
    },
  };
}

/** Reads a prompt once, evicts, and goes on from copies of what is left. */
async function measureTogether(
  { ids, steps, sequences, policy: name, budget }: TogetherCommand,
): Promise<TogetherMeasurement> {
  const { engine, facts } = getModel();
  const policy = await createPolicy(name ?? "full");
  await using stack = new AsyncDisposableStack();
  const first = emptySequence(stack.use(engine.newCache()));
  const { logits } = await readPrompt({
    ...{ engine, sequence: first, ids, policy, facts: await facts() },
    budget: { tokens: budget ?? ids.length },
    ...{ chunk: engine.chunk, scores: false, now: () => performance.now() },
  });
  const all: Sequence[] = [first];
  while (all.length < sequences) {
    all.push({ ...first, cache: stack.use(await first.cache.fork()) });
  }
  let next = all.map(() => greedyToken(logits));
  const step = async () => {
    const tokens = all.map((sequence, index) => ({ sequence, id: next[index] ?? 0 }));
    next = (await advanceTogether(engine, tokens)).map(greedyToken);
  };
  // The first step of so many is taken both ways.
  await step();
  const [start, used] = [performance.now(), process.cpuUsage()];
  for (let count = 0; count < steps; count++) await step();
  const decodeMs = performance.now() - start;
  const { user, system } = process.cpuUsage(used);
  return { decodeMs, processorMs: (user + system) / 1000, tokens: steps * sequences };
}

/** Index of the first prompt token that is asked, while it is read, what it pays attention to. */
function firstObserved(evidence: Evidence, length: number): number {
  if (evidence.kind === "window") return Math.max(0, length - evidence.size);
  return evidence.kind === "accumulated" ? 0 : length;
}

/** Reads token by token, as answers are made: decoding rounds more than reading prompts does. */
async function writeLogits({ ids, from, file }: LogitsCommand): Promise<void> {
  const { engine } = getModel();
  using cache = engine.newCache();
  const sequence: Sequence = { cache, position: 0, planned: ids.length };
  await writeFile(file, new Uint8Array());
  for (let at = 0; at < ids.length;) {
    const end = Math.max(from, at) + 1;
    const { logits } = await engine.advance(sequence, { ids: ids.slice(at, end) });
    await appendFile(file, new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength));
    at = end;
  }
}

/** Tokens that are read at a time. */
const CHUNK = 512;

async function follow({ ids, steps, path, file }: FollowCommand): Promise<readonly number[]> {
  const { engine } = getModel();
  using cache = engine.newCache();
  const sequence: Sequence = { cache, position: 0, planned: ids.length + steps };
  let logits: Float32Array = new Float32Array();
  const advance = async (next: readonly number[]) => {
    ({ logits } = await engine.advance(sequence, { ids: next }));
  };
  for (let at = 0; at < ids.length; at += CHUNK) await advance(ids.slice(at, at + CHUNK));
  return await writeFollowed(file, { steps, ...(path ? { path } : {}) }, {
    logits: () => logits,
    append: (id) => advance([id]),
  });
}

if (import.meta.main) {
  await serve({
    open: async ({ source, precision, threads, sequences = 1, home }: OpenCommand) => {
      const options = { precision, threads, sequences, ...(home === undefined ? {} : { home }) };
      opened = await loadModel(source, options);
      return opened.precision;
    },
    encode: ({ text }: EncodeCommand) => [...getModel().tokenizer.encode(text)],
    measure,
    together: measureTogether,
    logits: writeLogits,
    follow,
    memory: peakMemory,
  });
}
