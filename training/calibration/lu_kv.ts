import { expression } from "../../policies/_expression.ts";
import { UNPROTECTED } from "../../policies/_measured_shares.ts";
import type { ModelFacts, ScorerPolicy } from "../../policies/policy.ts";
import type { Model } from "../../runtime/model.ts";
import { emptySequence } from "../../runtime/engine/sequence.ts";
import { globalLayersOf } from "../../runtime/cache/global_layers.ts";
import { fittedTo } from "../../runtime/evict/fitted.ts";
import { protectionOf } from "../../runtime/evict/protection.ts";
import { readPrompt } from "../../runtime/evict/read.ts";
import { TrainingError } from "../errors.ts";
import type { TrainingPrompt } from "../prompts.ts";
import { answerUtility } from "./answer_utility.ts";
import type { Calibration, Measurement } from "./calibrate.ts";
import { headBudgets } from "./head_budgets.ts";
import { leftOutShares, summed } from "./left_out.ts";

/** Percentages that are kept, 0 and 100 among them. */
const POINTS = 101;

/**
 * Measures, for `lu_kv`, how much of what answers attend to each KV head keeps when it keeps its best tokens by
 * a policy's scores, and divides budgets by it.
 *
 * @param inner The policy.
 */
export function luKvCalibration(inner: ScorerPolicy): Calibration {
  return {
    kind: "lu_kv",
    async begin(model, facts) {
      const fitted = await fittedTo(inner, facts);
      if (!("score" in fitted) || fitted.evicts === false) {
        throw new TrainingError(
          `Cannot measure budgets with policy '${inner.name}': it has no scores; give one that scores`,
          { options: ["policy"] },
        );
      }
      return measurement(model, facts, fitted, expression(inner));
    },
  };
}

function measurement(
  model: Model,
  facts: ModelFacts,
  policy: ScorerPolicy,
  name: string,
): Measurement {
  const { engine } = model;
  const { kvHeads } = engine.config;
  const prompts: (readonly Float64Array[])[] = [];
  const add = async (prompt: TrainingPrompt, signal: AbortSignal | undefined): Promise<void> => {
    using cache = engine.newCache();
    const sequence = emptySequence(cache);
    const { ids } = prompt;
    const { length } = ids;
    // Scores are wanted, and the budget covers all: nothing is dropped.
    const { logits, scores } = await readPrompt({
      ...{ engine, sequence, ids, policy, facts, signal },
      budget: length,
      chunk: engine.chunk,
      raise: "all",
      scores: true,
      now: () => 0,
    });
    const keep = Math.ceil(length / 2);
    const { sinks, recent } = await protectionOf(policy, { layer: 0, length }, keep);
    const end = Math.max(sinks, length - recent);
    const ofGlobals = globalLayersOf(cache).map((layer) => scores[layer] ?? new Float32Array());
    const utilities = await answerUtility({ engine, sequence, logits, prompt, signal });
    prompts.push(utilities.map((utility, index) => {
      const head = index % kvHeads;
      const ofHead = ofGlobals[Math.floor(index / kvHeads)]
        ?.subarray(head * length, (head + 1) * length) ?? new Float32Array();
      return curveOf(ofHead.subarray(sinks, end), utility.subarray(sinks, end));
    }));
  };
  return {
    add,
    finish() {
      const curves = summed(prompts);
      return {
        tensors: {
          dropped: { shape: [99, curves.length / kvHeads, kvHeads], data: headBudgets(curves) },
        },
        card: { inner: name, shares: UNPROTECTED, ...worth(prompts) },
      };
    },
  };
}

/** Percentages kept for which a card says what budgets are worth. */
const SAID = [10, 25, 50];

/** For the card: the utility that prompts keep with budgets that were measured with the others. */
function worth(prompts: readonly (readonly Float64Array[])[]): Record<string, string> {
  return Object.fromEntries(SAID.flatMap((percent) => {
    const shares = leftOutShares(prompts, percent);
    if (!shares) return [];
    const { even, divided } = shares;
    return [[`kept_at_${percent}`, `${divided.toFixed(3)} (${even.toFixed(3)} with even budgets)`]];
  }));
}

/** What is kept of the utility when the best 0, 1, … 100 % of what is not protected stay besides it. */
function curveOf(scores: Float32Array, utility: Float64Array): Float64Array {
  const order = [...scores.keys()].sort((a, b) => {
    const [first = 0, second = 0] = [scores[a], scores[b]];
    return first === second ? a - b : second - first;
  });
  let [taken, kept] = [0, 0];
  return Float64Array.from({ length: POINTS }, (_, percent) => {
    const count = Math.round(order.length * percent / (POINTS - 1));
    while (taken < count) kept += utility[order[taken++] ?? 0] ?? 0;
    return kept;
  });
}
