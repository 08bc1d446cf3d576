import { columns, joined, scalar, zeroColumns } from "./kernels/nodes.ts";
import type { KernelBuilder, KernelValue } from "./policy.ts";

/** How far a score reaches. */
export interface ForwardReach {
  /** Tokens behind a token that its score reaches. */
  readonly reach: number;
  /** What is left of it with each token, from 0 to 1. */
  readonly decay: number;
  /** What the token before it gets of it, from 0 to 1. */
  readonly before: number;
}

/** One round: what is there already, so many tokens on. */
interface Round {
  readonly shift: number;
  readonly factor: number;
}

/** Rounds that double what is reached: the most over `n` tokens takes `log n` of them. */
function roundsOf({ reach, decay }: ForwardReach): readonly Round[] {
  const rounds: Round[] = [];
  for (let reached = 1; reached < reach + 1;) {
    const shift = Math.min(reached, reach + 1 - reached);
    rounds.push({ shift, factor: decay ** shift });
    reached += shift;
  }
  return rounds;
}

/**
 * Scores that reach the tokens behind: an answer that copies a text goes on from the token that its
 * first query looks at, which scores of that query alone do not show. A token gets the most of
 * `decay^d` times the score of the token `d` before it, `d` from 0 to `reach`, and of `before` times that
 * of the token behind it.
 *
 * @param scores `[heads × length]`, none below 0; left as they are.
 */
export function reachForward(
  scores: Float32Array,
  length: number,
  reach: ForwardReach,
): Float32Array {
  const reached = scores.slice();
  for (let start = 0; start < scores.length; start += length) {
    const row = reached.subarray(start, start + length);
    for (const { shift, factor } of roundsOf(reach)) {
      // From the end, so that what is read was not written in this round.
      for (let token = length - 1; token >= shift; token--) {
        const reaching = factor * (row[token - shift] ?? 0);
        if (reaching > (row[token] ?? 0)) row[token] = reaching;
      }
    }
    for (let token = 0; token + 1 < length; token++) {
      const reaching = reach.before * (scores[start + token + 1] ?? 0);
      if (reaching > (row[token] ?? 0)) row[token] = reaching;
    }
  }
  return reached;
}

/** {@linkcode reachForward} where the cache lives: scores are `[kvHeads, length]`. */
export function reachForwardKernel(
  builder: KernelBuilder,
  scores: KernelValue,
  reach: ForwardReach,
): KernelValue {
  const times = (value: KernelValue, factor: number) =>
    builder.op("Mul", [value, scalar(builder, factor)]);
  let reached = scores;
  for (const { shift, factor } of roundsOf(reach)) {
    // None where the text is shorter than that.
    const all = joined(builder, [zeroColumns(builder, shift), reached], 1);
    const shifted = columns(builder, all, 0, builder.tokens());
    reached = builder.op("Max", [reached, times(shifted, factor)]);
  }
  const next = columns(builder, joined(builder, [scores, zeroColumns(builder, 1)], 1), 1);
  return builder.op("Max", [reached, times(next, reach.before)]);
}
