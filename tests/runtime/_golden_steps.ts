import { assertEquals } from "@std/assert";
import type { Engine } from "../../runtime/engine/engine.ts";
import type { Sequence } from "../../runtime/engine/sequence.ts";
import { greedyToken } from "../../runtime/sampling/greedy.ts";
import { assertClose } from "../_close.ts";
import { newSequence } from "../_test_model.ts";
import type { Golden } from "./_golden_file.ts";

/** Logits of every token of a text that is read in chunks of such sizes, over and over. */
export async function logitsInChunks(
  engine: Engine,
  sequence: Sequence,
  ids: readonly number[],
  sizes: readonly number[],
): Promise<number[]> {
  const all: number[] = [];
  let from = 0;
  for (let at = 0; from < ids.length; at++) {
    const part = ids.slice(from, from + (sizes[at % sizes.length] ?? 1));
    const rows = part.map((_, row) => row);
    all.push(...(await engine.advance(sequence, { ids: part, rows })).logits);
    from += part.length;
  }
  return all;
}

/**
 * Checks that a model goes on with the golden greedy tokens.
 *
 * @param known Behind which of them the golden has logits, in its order.
 */
export async function checkContinuation(
  engine: Engine,
  golden: Golden,
  known: readonly number[],
): Promise<void> {
  const { vocabulary } = engine.config;
  const expected = golden.integers("greedy");
  const greedyLogits = golden.floats("greedy_logits");
  const sequence = newSequence(engine);
  using _cache = sequence.cache;
  let { logits } = await engine.advance(sequence, { ids: golden.integers("input_ids") });
  const made: number[] = [];
  while (made.length < expected.length) {
    made.push(greedyToken(logits));
    ({ logits } = await engine.advance(sequence, { ids: made.slice(-1) }));
    const at = known.indexOf(made.length - 1);
    if (at < 0) continue;
    const row = greedyLogits.subarray(at * vocabulary, (at + 1) * vocabulary);
    assertClose(logits, row, { absolute: 1e-3 }, `logits behind greedy token ${made.length - 1}`);
  }
  assertEquals(made, expected);
}
