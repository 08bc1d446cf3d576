/** llama.cpp in a process of its own; see `../llama_cpp.ts`. @module */

import { appendFile, writeFile } from "node:fs/promises";
import process from "node:process";
import { writeFollowed } from "../../engine/follow.ts";
import type {
  FollowCommand,
  LogitsCommand,
  MeasureCommand,
  Measurement,
  TogetherCommand,
  TogetherMeasurement,
} from "../../engine/protocol.ts";
import { peakMemory } from "../../engine/memory.ts";
import { serve } from "../../engine/serve.ts";
import { BATCH_SIZE, type ContextSettings, type FILE_TYPES } from "./layout.ts";
import { type Library, openLibrary } from "./library.ts";
import { type LlamaModel, openModel, quantise } from "./model.ts";
import { fetchLlamaCpp } from "./package.ts";

/** Loads a model. */
export interface OpenCommand extends ContextSettings {
  readonly do: "open";
  readonly file: string;
}

/** Makes a file of another type. */
export interface QuantiseCommand {
  readonly do: "quantise";
  readonly source: string;
  readonly target: string;
  readonly type: keyof typeof FILE_TYPES;
}

/** Turns text into token ids. */
export interface TokenizeCommand {
  readonly do: "tokenize";
  readonly text: string;
}

let library: Library | undefined;
let opened: LlamaModel | undefined;

const getLibrary = async () => library ??= openLibrary(await fetchLlamaCpp());

function getModel(): LlamaModel {
  if (opened === undefined) throw new Error("No model is open.");
  return opened;
}

function measure({ ids, steps }: MeasureCommand): Measurement {
  const model = getModel();
  model.clear();
  const start = performance.now();
  model.append(ids);
  let token = model.best();
  const read = performance.now();
  const cacheBytes = model.cacheBytes();
  const begun = performance.now();
  for (let step = 0; step < steps; step++) {
    model.append([token]);
    token = model.best();
  }
  return { prefillMs: read - start, decodeMs: performance.now() - begun, steps, cacheBytes };
}

function measureTogether({ ids, steps, sequences }: TogetherCommand): TogetherMeasurement {
  const model = getModel();
  model.clear();
  const last: number[] = [];
  for (let sequence = 0; sequence < sequences; sequence++) {
    for (let at = 0; at < ids.length; at += BATCH_SIZE) {
      const part = ids.slice(at, at + BATCH_SIZE);
      const tokens = part.map((id, index) => ({ id, position: at + index, sequence }));
      last[sequence] = model.appendToSequences(tokens)[0] ?? 0;
    }
  }
  let next = last;
  const [start, used] = [performance.now(), process.cpuUsage()];
  for (let step = 0; step < steps; step++) {
    const position = ids.length + step;
    next = model.appendToSequences(next.map((id, sequence) => ({ id, position, sequence })));
  }
  const decodeMs = performance.now() - start;
  const { user, system } = process.cpuUsage(used);
  return { decodeMs, processorMs: (user + system) / 1000, tokens: steps * sequences };
}

async function writeLogits({ ids, from, file }: LogitsCommand): Promise<void> {
  const model = getModel();
  model.clear();
  await writeFile(file, new Uint8Array());
  for (let at = 0; at < ids.length; at += BATCH_SIZE) {
    const logits = model.appendForLogits(ids.slice(at, at + BATCH_SIZE));
    for (const [index, row] of logits.entries()) {
      if (at + index < from) continue;
      await appendFile(file, new Uint8Array(row.buffer, row.byteOffset, row.byteLength));
    }
  }
}

async function follow({ ids, steps, path, file }: FollowCommand): Promise<readonly number[]> {
  const model = getModel();
  model.clear();
  model.append(ids);
  return await writeFollowed(file, { steps, ...(path ? { path } : {}) }, {
    logits: () => model.logits(),
    append: (id) => model.append([id]),
  });
}

if (import.meta.main) {
  await serve({
    fetch: async () => void await getLibrary(),
    quantise: async ({ source, target, type }: QuantiseCommand) =>
      quantise(await getLibrary(), source, target, type),
    open: async ({ do: _, file, ...settings }: OpenCommand) => {
      opened = openModel(await getLibrary(), file, settings);
    },
    measure,
    together: measureTogether,
    logits: writeLogits,
    follow,
    tokenize: ({ text }: TokenizeCommand) => getModel().tokenize(text),
    memory: peakMemory,
  });
}
