import type { AdaptedInput, StepInput, StepResult } from "./engine.ts";
import { holdSequence, rollbackSequence, type Sequence } from "./sequence.ts";

/** What {@linkcode probeApart} takes its steps with. */
export interface Stepping<Result extends StepResult> {
  /** Reads tokens and appends them. */
  advance(sequence: Sequence, input: AdaptedInput): Promise<Result>;
  /** Reads tokens without leaving a trace. */
  probe(sequence: Sequence, input: AdaptedInput): Promise<Result>;
}

/**
 * A probe whose ids are told apart from the rows behind them, in a step for each id and one for the rows: for
 * engines and adapters that do not tell them apart in one.
 */
export async function probeApart<Result extends StepResult>(
  engine: Stepping<Result>,
  sequence: Sequence,
  { ids = [], ...input }: AdaptedInput,
): Promise<Result & { readonly mostApart: Result["attentionSums"] }> {
  using mark = holdSequence(sequence);
  try {
    const { observe = false } = input;
    using made = new DisposableStack();
    const most: Result["attentionSums"][number][] = [];
    for (const id of ids) {
      const before: StepInput = { ids: [id], observe, temporary: true, next: "nothing" };
      const { attentionSums } = await engine.advance(sequence, before);
      for (const rows of attentionSums) made.use(rows);
      for (const [layer, rows] of attentionSums.entries()) {
        const earlier = most[layer];
        most[layer] = earlier ? made.use(await earlier.most(rows)) : rows;
        // Long texts have rows of megabytes.
        if (earlier) { for (const used of [earlier, rows]) used[Symbol.dispose](); }
      }
    }
    const probed = await engine.probe(sequence, input);
    return { ...probed, mostApart: most.map((rows) => rows.shared()) };
  } finally {
    rollbackSequence(sequence, mark);
  }
}
