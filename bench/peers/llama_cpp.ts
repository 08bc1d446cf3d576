import { createHash } from "node:crypto";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { homeFolder } from "../../runtime/models/home.ts";
import { type Engine, spawnEngine } from "../engine/spawn.ts";
import type { OpenCommand, QuantiseCommand } from "./llama_cpp/worker.ts";

/** Formats of the model that llama.cpp can be measured with. */
export type LlamaFormat = "source" | "F32" | "Q8_0" | "Q4_0";

/** How llama.cpp is run. */
export interface LlamaCppOptions {
  /** GGUF file. */
  readonly file: string;
  /** `source` is the file as it is; the others are made from it by llama.cpp's own quantiser. */
  readonly format: LlamaFormat;
  readonly threads: number;
  /** Tokens that fit. */
  readonly contextSize: number;
  /** Texts that are held side by side. @default {1} */
  readonly sequences?: number;
}

/**
 * Starts llama.cpp in a process of its own. Its C functions are called directly: the JavaScript
 * layer of `node-llama-cpp` sends every token through another thread, which costs it a third of its
 * decoding speed on two cores.
 *
 * @throws {Error} If llama.cpp cannot be had on this machine.
 */
export async function startLlamaCpp(options: LlamaCppOptions): Promise<Engine> {
  const { format, threads, contextSize, sequences = 1 } = options;
  const engine = spawnEngine(`llama.cpp ${format}`, WORKER, FLAGS);
  try {
    const file = await findFile(engine, options);
    const command: OpenCommand = { do: "open", file, threads, contextSize, sequences };
    await engine.ask<null>(command);
  } catch (error) {
    await engine[Symbol.asyncDispose]();
    throw error;
  }
  return engine;
}

const WORKER = new URL("./llama_cpp/worker.ts", import.meta.url);

// Without the project's configuration, llama.cpp never enters its lock file or node_modules.
const FLAGS = ["--no-config", "--no-lock", "--node-modules-dir=none", "--allow-all"];

/** The file in the wanted format, made on first use and kept in the cache folder. */
async function findFile(engine: Engine, { file, format }: LlamaCppOptions): Promise<string> {
  if (format === "source") return file;
  const { size, mtimeMs } = await stat(file);
  const key = createHash("sha256").update(`${file}\n${size}\n${mtimeMs}`).digest("hex");
  const folder = join(homeFolder(), "bench");
  const target = join(folder, `${key.slice(0, 16)}.${format}.gguf`);
  if (await stat(target).then(() => true, () => false)) return target;
  await mkdir(folder, { recursive: true });
  const partial = `${target}.${process.pid}.partial`;
  try {
    const command: QuantiseCommand = {
      do: "quantise",
      source: file,
      target: partial,
      type: format,
    };
    await engine.ask<null>(command);
    await rename(partial, target);
  } finally {
    await rm(partial, { force: true });
  }
  return target;
}
