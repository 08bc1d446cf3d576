import type { LayerView, Protection, ScorerPolicy } from "../../policies/policy.ts";
import { PolicyError } from "../errors.ts";

/** A layer from which is chosen. */
export interface LayerChoice {
  /** The policy, as it is to be asked about this layer. */
  readonly policy: ScorerPolicy;
  /** What is shown of the layer: all of it, or each KV head. */
  readonly views: readonly LayerView[];
  /** Tokens per KV head, on average. */
  readonly keep: number;
}

/** One KV head, scored. */
export interface ScoredHead extends Required<Protection> {
  /** Tokens that it holds. */
  readonly length: number;
  /** Their scores, where the policy divides its budget among heads. */
  readonly scores: Float32Array;
}

/**
 * How many tokens each head keeps.
 *
 * @param keep Tokens per KV head, on average.
 * @param where The heads' layer, or all layers, for messages.
 * @throws {PolicyError} If the policy's allocator breaks its contract.
 */
export async function dividedCounts(
  { name, allocateHeads }: Pick<ScorerPolicy, "name" | "allocateHeads">,
  heads: readonly ScoredHead[],
  keep: number,
  where: string,
): Promise<readonly number[]> {
  if (!allocateHeads) return heads.map(({ length }) => Math.min(keep, length));
  const marked = heads.map(({ scores, sinks, recent }) => {
    const pinned = scores.slice();
    pinned.fill(Infinity, 0, sinks);
    pinned.fill(Infinity, scores.length - recent);
    return pinned;
  });
  const counts = await allocateHeads({ scores: marked, keep });
  const held = marked.reduce((sum, { length }) => sum + length, 0);
  const wanted = Math.min(held, Math.round(keep * heads.length));
  const fits = Array.isArray(counts) && counts.length === heads.length &&
    counts.every((count, head) => {
      const { length = 0, sinks = 0, recent = 0 } = heads[head] ?? {};
      return Number.isInteger(count) && count >= Math.max(1, sinks + recent) && count <= length;
    });
  if (fits && counts.reduce((sum, count) => sum + count, 0) === wanted) return counts;
  throw new PolicyError(
    `Policy '${name}' broke its contract in ${where}: 'allocateHeads' must give ` +
      `${heads.length} integers from 1, or what it protects, to what a head holds, ${wanted} in ` +
      `all, got ${JSON.stringify(counts)}`,
  );
}
