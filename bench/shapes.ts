import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { homeFolder } from "../runtime/models/home.ts";
import { resolveModel } from "../runtime/models/mod.ts";
import { type BigShape, SHAPES } from "../scripts/big_checkpoint/shapes.ts";
import { cutTokenizer } from "../scripts/big_checkpoint/tokenizer.ts";
import { writeBigCheckpoint } from "../scripts/big_checkpoint/write.ts";
import { table } from "../commands/_table.ts";
import type { MeasureCommand, Measurement } from "./engine/protocol.ts";
import type { Engine } from "./engine/spawn.ts";
import { startKvjudge } from "./kvjudge.ts";
import type { BenchOptions } from "./options.ts";
import { startLlamaCpp } from "./peers/llama_cpp.ts";

/** What a process took that loaded a checkpoint, read a prompt and answered. */
export interface ShapeRow {
  readonly shape: string;
  readonly engine: string;
  /** Bytes of the checkpoint. */
  readonly file: number;
  /** Bytes of the cache behind the prompt. */
  readonly cache: number;
  /** From the start of the process, in milliseconds. */
  readonly loadMs: number;
  /** Tokens per second. */
  readonly prefill: number;
  readonly decode: number;
  /** Most memory of the process, in bytes. */
  readonly peak: number;
}

/** What a process may take: weights once in the kernels' layout, a cache, and 300 MB for the rest. */
function memoryBound({ file, cache }: Pick<ShapeRow, "file" | "cache">): number {
  return 1.35 * file + cache + 300e6;
}

/** The tokenizer of random checkpoints. */
const TOKENIZER = "smollm2-135m-instruct";

/**
 * Measures random checkpoints in the shapes of large models, in Q4_0: kvjudge's first load, which converts
 * the file, a later one, and llama.cpp.
 *
 * @param ids Of a text, in tokens of the checkpoint's tokenizer.
 */
export async function measureShapes(
  { shapes, shapeTokens: tokens, steps, threads }: BenchOptions,
  text: string,
  note: (text: string) => void,
): Promise<ShapeRow[]> {
  const rows: ShapeRow[] = [];
  for (const name of shapes) {
    const shape = SHAPES[name];
    if (!shape) continue;
    const file = await shapeFile(name, shape);
    const { size } = await stat(file);
    const home = join(homeFolder(), "bench", "shapes");
    await rm(join(home, "weights"), { recursive: true, force: true });
    let ids: readonly number[] = [];
    const measure = async (engine: string, open: () => Promise<Engine>) => {
      const start = performance.now();
      await using opened = await open();
      const loadMs = performance.now() - start;
      const command: MeasureCommand = { do: "measure", ids, steps };
      const { value } = await opened.ask<Measurement>(command);
      const row = {
        ...{ shape: name, engine, file: size, cache: value.cacheBytes, loadMs },
        prefill: ids.length / value.prefillMs * 1000,
        decode: value.steps / value.decodeMs * 1000,
        peak: (await opened.ask<number>({ do: "memory" })).value,
      };
      rows.push(row);
      note(formatShapes([row]));
    };
    const kvjudge = async () => {
      const opened = await startKvjudge({ source: file, precision: "auto", threads, home });
      const all = ids.length > 0 ? ids : await opened.encode(text);
      ids = Array.from({ length: tokens }, (_, index) => all[index % all.length] ?? 0);
      return opened;
    };
    await measure("kvjudge, first load", kvjudge);
    await measure("kvjudge", kvjudge);
    try {
      const contextSize = tokens + steps + 32;
      await measure(
        "llama_cpp_q4_0",
        () => startLlamaCpp({ file, format: "source", threads, contextSize }),
      );
    } catch (error) {
      note(`llama.cpp does not take part: ${error instanceof Error ? error.message : error}`);
    }
  }
  return rows;
}

/** A random checkpoint, written where there is none. */
async function shapeFile(name: string, shape: BigShape): Promise<string> {
  const tokenizer = cutTokenizer(await resolveModel(TOKENIZER), shape.vocabulary);
  return await writeBigCheckpoint(join(homeFolder(), "bench"), name, shape, "q4_0", tokenizer);
}

/** The rows as text. */
export function formatShapes(rows: readonly ShapeRow[]): string {
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(0);
  return table([
    [
      ...["shape", "engine", "load (s)", "prefill", "decode", "file (MB)", "cache (MB)"],
      ...["peak memory (MB)", "1.35 × file + cache + 300 MB"],
    ],
    ...rows.map((row) => [
      row.shape,
      row.engine,
      (row.loadMs / 1000).toFixed(1),
      row.prefill.toFixed(1),
      row.decode.toFixed(1),
      ...[row.file, row.cache, row.peak, memoryBound(row)].map(megabytes),
    ]),
  ], { left: [0, 1] });
}
