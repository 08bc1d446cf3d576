/**
 * Compares what kvjudge and llama.cpp compute from one GGUF file: `deno task compare`.
 *
 * @module
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { KvjudgeError } from "../../mod.ts";
import { resolveModel } from "../../runtime/models/mod.ts";
import type { FollowCommand } from "../engine/protocol.ts";
import type { Engine } from "../engine/spawn.ts";
import { startKvjudge } from "../kvjudge.ts";
import { startLlamaCpp } from "../peers/llama_cpp.ts";
import type { TokenizeCommand } from "../peers/llama_cpp/worker.ts";
import { type Distances, distancesOf } from "./distances.ts";
import { type ComparedPrompt, PROMPTS } from "./prompts.ts";
import { benchText } from "../text.ts";

const USAGE = `Usage: deno task compare [--model NAME] [--threads N] [--steps 64] [--prompts 1,9,10]

Compares kvjudge with llama.cpp on a GGUF file: token ids, first logits, greedy tokens. Four engines
follow llama.cpp's greedy tokens: each of the two with the file's own weights and with those weights
in 32 bits, so that what the other rounds is known.
`;

/** The engines, by the name that the table has. */
interface Contestants {
  readonly llama: Engine;
  readonly llama32: Engine;
  readonly kvjudge: Engine;
  readonly kvjudge32: Engine;
}

const PAIRS = [
  ["llama32", "kvjudge32", "both in 32 bits"],
  ["llama", "kvjudge", "both with the file's weights"],
  ["llama32", "llama", "llama.cpp's rounding"],
  ["kvjudge32", "kvjudge", "kvjudge's rounding"],
] as const;

async function compare(
  source: string,
  prompts: readonly ComparedPrompt[],
  { threads, steps }: { readonly threads: number; readonly steps: number },
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const longest = Math.max(...prompts.map(({ behind }) => behind)) + steps + 100;
  const peer = async (format: "source" | "F32") =>
    stack.use(await startLlamaCpp({ file: source, format, threads, contextSize: longest }));
  const own = async (precision: "auto" | "fp32") =>
    stack.use(await startKvjudge({ source, precision, threads }));
  const kvjudge = await own("auto");
  const engines: Contestants = {
    llama: await peer("source"),
    llama32: await peer("F32"),
    kvjudge,
    kvjudge32: await own("fp32"),
  };
  const prose = await benchText();
  const folder = await mkdtemp(join(tmpdir(), "kvjudge-compare-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const ids = (text: string) => kvjudge.encode(text);
  for (const prompt of prompts) {
    const text = await textOf(prompt, prose, ids);
    const own = await ids(text);
    const command: TokenizeCommand = { do: "tokenize", text };
    const { value: others } = await engines.llama.ask<number[]>(command);
    const same = own.length === others.length && own.every((id, at) => id === others[at]);
    print(
      `\n${JSON.stringify(prompt.text)}${
        prompt.behind ? ` behind ${prompt.behind} tokens` : ""
      }: ` +
        `${own.length} tokens, ids ${same ? "equal" : "DIFFER"}`,
    );
    const logits = await follow(engines, own, steps, folder);
    for (const [first, second, what] of PAIRS) {
      const vocabulary = logits[first].length / (steps + 1);
      show(what, distancesOf(logits[first], logits[second], vocabulary), steps + 1);
    }
  }
}

/** Prose of at least so many tokens and the prompt behind it. */
async function textOf(
  { behind, text }: ComparedPrompt,
  prose: string,
  ids: (text: string) => Promise<readonly number[]>,
): Promise<string> {
  if (behind === 0) return text;
  let end = 4 * behind;
  for (let found = 0; found < behind && end < prose.length; end += 4 * (behind - found) + 1) {
    found = (await ids(prose.slice(0, end))).length;
    if (found >= behind) break;
  }
  return prose.slice(0, end) + text;
}

/** Logits of all engines along llama.cpp's greedy tokens. */
async function follow(
  engines: Contestants,
  ids: readonly number[],
  steps: number,
  folder: string,
): Promise<Record<keyof Contestants, Float32Array>> {
  const file = join(folder, "logits");
  let path: readonly number[] | undefined;
  const along = async (engine: Engine) => {
    const command: FollowCommand = { do: "follow", ids, steps, file, ...(path ? { path } : {}) };
    path = (await engine.ask<readonly number[]>(command)).value;
    const bytes = await readFile(file);
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  };
  return {
    llama: await along(engines.llama),
    llama32: await along(engines.llama32),
    kvjudge: await along(engines.kvjudge),
    kvjudge32: await along(engines.kvjudge32),
  };
}

function show(what: string, { bestTen, sameTen, rms, differing }: Distances, steps: number): void {
  print(
    `  ${what.padEnd(29)} best ten within ${bestTen.toFixed(4)}${sameTen ? "" : " (other ten)"}, ` +
      `rms ${rms.toFixed(4)}, same token at ${steps - differing.length} of ${steps} steps`,
  );
  for (const { step, first, second, firstMargin, secondMargin } of differing) {
    print(
      `    step ${step}: ${first} by ${firstMargin.toFixed(3)}, ${second} by ${
        secondMargin.toFixed(3)
      }`,
    );
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      model: { type: "string", default: "gemma-3-270m" },
      threads: { type: "string", default: String(availableParallelism()) },
      steps: { type: "string", default: "64" },
      prompts: { type: "string", default: PROMPTS.map((_, at) => at + 1).join() },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) print(USAGE);
  else {
    try {
      const source = await resolveModel(values.model);
      const chosen = new Set(values.prompts.split(",").map(Number));
      await compare(source, PROMPTS.filter((_, at) => chosen.has(at + 1)), {
        threads: Number(values.threads),
        steps: Number(values.steps),
      });
    } catch (error) {
      if (!(error instanceof KvjudgeError)) throw error;
      process.stderr.write(`${error.message}\n`);
      process.exitCode = 1;
    }
  }
}
