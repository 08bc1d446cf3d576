import { globalLayersOf } from "../cache/global_layers.ts";
import type { Rows } from "../engine/rows.ts";
import type { Sequence } from "../engine/sequence.ts";

/**
 * The prompt's columns of what a probe made keys receive, divided by the number of its queries.
 *
 * @param scope Owns all rows from then on.
 */
export async function meanOverPrompt(
  attentionSums: readonly Rows[],
  { cache }: Sequence,
  queries: number,
  scope: DisposableStack,
): Promise<readonly Rows[]> {
  for (const rows of attentionSums) scope.use(rows);
  const globals = globalLayersOf(cache);
  const prompt: Rows[] = [];
  for (const [index, rows] of attentionSums.entries()) {
    prompt.push(scope.use(await rows.leading(cache.lengths(globals[index] ?? 0))));
  }
  return await scaled(prompt, 1 / queries, scope);
}

/** Rows times a number. The scope owns them. */
export async function scaled(
  attentionSums: readonly Rows[],
  factor: number,
  scope: DisposableStack,
): Promise<readonly Rows[]> {
  const all: Rows[] = [];
  for (const rows of attentionSums) all.push(scope.use(await rows.times(factor)));
  return all;
}
