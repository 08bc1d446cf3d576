import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LogitsCommand } from "./engine/protocol.ts";
import type { Engine } from "./engine/spawn.ts";
import type { Contestant } from "./rounds.ts";

/** How near an engine's predictions are to those of full precision. */
export interface Quality {
  readonly name: string;
  /** Mean Kullback-Leibler divergence, in nats: 0 is equal. */
  readonly divergence: number;
  /** Share of positions with the same most likely token. */
  readonly agreement: number;
}

/** Tokens before the first position that is compared. */
const CONTEXT = 16;

/**
 * Compares predictions over a text.
 *
 * @param reference kvjudge in full precision.
 * @param positions Number of positions compared.
 */
export async function compareQuality(
  reference: Engine,
  contestants: readonly Contestant[],
  ids: readonly number[],
  positions: number,
): Promise<Quality[]> {
  const folder = await mkdtemp(join(tmpdir(), "kvjudge-bench-"));
  try {
    const file = join(folder, "logits");
    const command: LogitsCommand = {
      do: "logits",
      ids: ids.slice(0, CONTEXT + positions),
      from: CONTEXT,
      file,
    };
    const logits = async (engine: Engine) => {
      await engine.ask<null>(command);
      const bytes = await readFile(file);
      return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    };
    const expected = await logits(reference);
    const qualities: Quality[] = [];
    for (const { name, engine } of contestants) {
      qualities.push({ name, ...compareLogits(expected, await logits(engine), positions) });
    }
    return qualities;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Compares two arrays of logits, `[positions, vocabulary]`. */
export function compareLogits(
  expected: Float32Array,
  found: Float32Array,
  positions: number,
): Omit<Quality, "name"> {
  if (expected.length !== found.length || expected.length === 0) {
    throw new Error(`Cannot compare ${found.length} logits with ${expected.length}.`);
  }
  const vocabulary = expected.length / positions;
  let divergence = 0;
  let agreement = 0;
  for (let position = 0; position < positions; position++) {
    const row = [position * vocabulary, (position + 1) * vocabulary] as const;
    const p = logSoftmax(expected.subarray(...row));
    const q = logSoftmax(found.subarray(...row));
    divergence += p.reduce((sum, value, id) => sum + Math.exp(value) * (value - (q[id] ?? 0)), 0);
    agreement += indexOfMax(p) === indexOfMax(q) ? 1 : 0;
  }
  return { divergence: divergence / positions, agreement: agreement / positions };
}

function logSoftmax(logits: Float32Array): Float64Array {
  const highest = logits.reduce((best, value) => Math.max(best, value), -Infinity);
  const total = logits.reduce((sum, value) => sum + Math.exp(value - highest), 0);
  return Float64Array.from(logits, (value) => value - highest - Math.log(total));
}

function indexOfMax(values: Float64Array): number {
  return values.reduce((best, value, id) => value > (values[best] ?? -Infinity) ? id : best, 0);
}
