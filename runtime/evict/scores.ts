import type { LayerView, ScorerPolicy } from "../../policies/policy.ts";
import { PolicyError } from "../errors.ts";
import { scoreView } from "./score_view.ts";

/**
 * A policy's scores of a layer.
 *
 * @throws {PolicyError} If they are not `[kvHeads × length]` numbers.
 */
export async function checkedScores(policy: ScorerPolicy, layer: LayerView): Promise<Float32Array> {
  const scores = await scoreView(policy.score, layer);
  checkScores(scores, policy, layer, "score");
  return scores;
}

/** Share of the budget that goes by the first scores. */
export function firstShare({ name, secondStage }: ScorerPolicy): number {
  const { first = 1 } = secondStage ?? {};
  if (first >= 0 && first <= 1) return first;
  throw new PolicyError(
    `Policy '${name}' broke its contract: 'first' of its second stage must be a number from 0 to 1, ` +
      `got ${first}`,
  );
}

/**
 * Scores of a policy's second stage, where it has one, checked as the first ones are.
 *
 * @param counts Tokens that each KV head keeps in all.
 */
export async function checkedRescores(
  policy: ScorerPolicy,
  layer: LayerView,
  scores: Float32Array,
  counts: readonly number[],
): Promise<Float32Array | undefined> {
  if (!policy.secondStage) return undefined;
  firstShare(policy);
  const rescored = await policy.secondStage.rescore(layer, scores.slice(), counts);
  checkScores(rescored, policy, layer, "rescore");
  return rescored;
}

function checkScores(
  scores: unknown,
  { name }: ScorerPolicy,
  layer: LayerView,
  from: "score" | "rescore",
): void {
  const { kvHeads, length } = layer;
  const expected = kvHeads * length;
  if (!(scores instanceof Float32Array) || scores.length !== expected) {
    const got = scores instanceof Float32Array ? `${scores.length} numbers` : kindOf(scores);
    throw new PolicyError(
      `Policy '${name}' broke its contract in layer ${layer.layer}: '${from}' must give a Float32Array ` +
        `of ${kvHeads} × ${length} = ${expected} numbers, got ${got}`,
    );
  }
  const index = firstNaN(scores);
  if (index >= 0) {
    throw new PolicyError(
      `Policy '${name}' broke its contract in layer ${layer.layer}: the score of token ` +
        `${index % length} for KV head ${Math.floor(index / length)} is NaN, it must be a number`,
    );
  }
}

/** Where the first number stands that is none; -1 if all are. */
function firstNaN(numbers: Float32Array): number {
  // Several times as fast as findIndex().
  for (let index = 0; index < numbers.length; index++) {
    if (Number.isNaN(numbers[index])) return index;
  }
  return -1;
}

/** What a value is, for messages: "Float32Array", "Object". */
export function kindOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}
