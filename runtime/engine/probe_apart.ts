import type { AdaptedInput, StepInput, StepResult } from "./engine.ts";
import { holdSequence, rollbackSequence, type Sequence } from "./sequence.ts";

/** What {@linkcode probeApart} takes two steps with. */
export interface Stepping<Result extends StepResult> {
  /** Reads tokens and appends them. */
  advance(sequence: Sequence, input: AdaptedInput): Promise<Result>;
  /** Reads tokens without leaving a trace. */
  probe(sequence: Sequence, input: AdaptedInput): Promise<Result>;
}

/**
 * A probe whose ids are summed apart from the rows behind them, in two steps: for engines and adapters that
 * do not tell them apart in one.
 */
export async function probeApart<Result extends StepResult>(
  engine: Stepping<Result>,
  sequence: Sequence,
  { ids = [], ...input }: AdaptedInput,
): Promise<Result & { readonly sumsApart: Result["attentionSums"] }> {
  using mark = holdSequence(sequence);
  try {
    const { observe = false } = input;
    const before: StepInput = { ids, observe, temporary: true, next: "nothing" };
    const { attentionSums } = await engine.advance(sequence, before);
    using sums = new DisposableStack();
    for (const rows of attentionSums) sums.use(rows);
    const probed = await engine.probe(sequence, input);
    sums.move();
    return { ...probed, sumsApart: attentionSums };
  } finally {
    rollbackSequence(sequence, mark);
  }
}
