import type { Engine } from "../../../runtime/engine/engine.ts";
import type { Sequence } from "../../../runtime/engine/sequence.ts";
import { pause } from "../../../runtime/engine/pause.ts";

/** Tokens whose logits are held at a time. */
const ROWS = 64;

/** What {@linkcode meanNegativeLogLikelihood} reads. */
export interface LikelihoodRequest {
  readonly engine: Engine;
  /** What comes before; the tokens are appended to it. */
  readonly sequence: Sequence;
  /** Logits of its last token. */
  readonly logits: Float32Array;
  readonly ids: readonly number[];
  readonly signal?: AbortSignal;
}

/** Mean of `-ln p(token | all before)`, each token read as it stands in the text. */
export async function meanNegativeLogLikelihood(
  { engine, sequence, logits, ids, signal }: LikelihoodRequest,
): Promise<number> {
  const { vocabulary } = engine.config;
  let sum = negativeLogProbability(logits, ids[0] ?? 0);
  for (let start = 0; start < ids.length - 1; start += ROWS) {
    await pause(signal);
    const part = ids.slice(start, Math.min(start + ROWS, ids.length - 1));
    const step = await engine.advance(sequence, { ids: part, rows: part.map((_, row) => row) });
    for (let row = 0; row < part.length; row++) {
      const ofRow = step.logits.subarray(row * vocabulary, (row + 1) * vocabulary);
      sum += negativeLogProbability(ofRow, ids[start + row + 1] ?? 0);
    }
  }
  return sum / ids.length;
}

function negativeLogProbability(logits: Float32Array, id: number): number {
  let max = -Infinity;
  for (const logit of logits) if (logit > max) max = logit;
  let total = 0;
  for (const logit of logits) total += Math.exp(logit - max);
  return Math.log(total) + max - (logits[id] ?? NaN);
}
