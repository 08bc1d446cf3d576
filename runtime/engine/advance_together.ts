import type { Engine } from "./engine.ts";
import type { NextToken } from "./sequence.ts";
import { demandArray, demandObject } from "../given.ts";

/**
 * Reads one token behind each of several sequences. The numbers are those of reading one after the
 * other, bit for bit: engines that can go through the weights once for all do so.
 *
 * @returns Logits of each, `[vocabulary]`.
 *
 * @example
 * ```ts
 * import { loadModel } from "../model.ts";
 * import { advanceTogether } from "./advance_together.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = new URL("../../tests/fixtures/tiny-llama", import.meta.url).pathname;
 * await using model = await loadModel(folder, { sequences: 2 });
 * const { engine } = model;
 * using one = engine.newCache();
 * using other = engine.newCache();
 * const sequences = [one, other].map((cache) => ({ cache, position: 0, planned: 0 }));
 * for (const [index, sequence] of sequences.entries()) {
 *   await engine.advance(sequence, { ids: [5, 6, 7 + index] });
 * }
 * const logits = await advanceTogether(engine, sequences.map((sequence) => ({ sequence, id: 9 })));
 * assertEquals(logits.length, 2);
 * ```
 */
export async function advanceTogether(
  engine: Pick<Engine, "advance" | "together">,
  next: readonly NextToken[],
): Promise<readonly Float32Array[]> {
  demandObject("advance sequences", "the engine", engine);
  demandArray("advance sequences", "what is next", next);
  if (engine.together && next.length > 1) return await engine.together(next);
  const logits: Float32Array[] = [];
  for (const { sequence, id } of next) {
    logits.push((await engine.advance(sequence, { ids: [id] })).logits);
  }
  return logits;
}
