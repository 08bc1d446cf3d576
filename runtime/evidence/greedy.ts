import { greedyToken } from "../sampling/greedy.ts";
import type { Engine } from "../engine/engine.ts";
import type { Sequence } from "../engine/sequence.ts";
import { pause } from "../engine/pause.ts";

/** What {@linkcode greedyAnswer} starts from. */
export interface GreedyAnswerRequest {
  readonly engine: Engine;
  readonly sequence: Sequence;
  /** Logits of the last token read. */
  readonly logits: Float32Array;
  /** Most tokens of the answer. */
  readonly steps: number;
  readonly signal?: AbortSignal;
}

/**
 * The model's own greedy answer, the token that ended it included. The sequence is left as it was.
 */
export async function greedyAnswer(request: GreedyAnswerRequest): Promise<number[]> {
  const { engine, sequence, steps, signal } = request;
  const { cache, position, planned } = sequence;
  const mark = cache.mark();
  const ids: number[] = [];
  let { logits } = request;
  try {
    while (ids.length < steps) {
      const id = greedyToken(logits);
      ids.push(id);
      if (engine.config.eosIds.includes(id) || ids.length === steps) break;
      await pause(signal);
      ({ logits } = await engine.advance(sequence, { ids: [id] }));
    }
  } finally {
    cache.rollback(mark);
    Object.assign(sequence, { position, planned });
  }
  return ids;
}
