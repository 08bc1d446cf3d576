import type { AdaptedInput, Engine, StepResult } from "./engine.ts";
import { holdSequence, rollbackSequence, type Sequence } from "./sequence.ts";

/**
 * A probe whose ids are summed apart from the rows behind them, in two steps: for engines and adapters that
 * do not tell them apart in one.
 */
export async function probeApart(
  engine: Pick<Engine, "advance" | "probe">,
  sequence: Sequence,
  { ids = [], ...input }: AdaptedInput,
): Promise<StepResult> {
  using mark = holdSequence(sequence);
  try {
    const { observe = false } = input;
    const read = await engine.advance(sequence, { ids, observe, temporary: true });
    using sums = new DisposableStack();
    for (const rows of read.attentionSums) sums.use(rows);
    const probed = await engine.probe(sequence, input);
    sums.move();
    return { ...probed, sumsApart: read.attentionSums };
  } finally {
    rollbackSequence(sequence, mark);
  }
}
