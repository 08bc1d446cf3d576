import type { ModelFacts } from "../../policies/policy.ts";
import { prefill } from "../../runtime/engine/prefill.ts";
import { emptySequence } from "../../runtime/engine/sequence.ts";
import type { Model } from "../../runtime/model.ts";
import { TrainingError } from "../errors.ts";
import type { TrainingPrompt } from "../prompts.ts";
import { demandWhole } from "../soft_token_settings.ts";
import { answerUtility } from "./answer_utility.ts";
import type { Calibration, Measurement } from "./calibrate.ts";

/** What a streaming head keeps. */
export interface StreamingSize {
  readonly sinks: number;
  readonly recent: number;
}

/**
 * Measures, for `duo_attention`, what each KV head would miss if it kept its first and last tokens alone: the
 * part of what answers make of a prompt that lies between them. The largest becomes 1.
 */
export function duoAttentionCalibration(size: StreamingSize): Calibration {
  demandWhole("sinks", size.sinks, 0);
  demandWhole("recent", size.recent);
  return { kind: "duo_attention", begin: (model, facts) => measurement(model, facts, size) };
}

function measurement(
  { engine }: Model,
  _facts: ModelFacts,
  { sinks, recent }: StreamingSize,
): Measurement {
  const { kvHeads } = engine.config;
  let missed = new Float64Array();
  let longer = 0;
  return {
    async add(prompt: TrainingPrompt, signal) {
      const { ids } = prompt;
      if (ids.length <= sinks + recent) return;
      longer++;
      using cache = engine.newCache();
      const sequence = emptySequence(cache);
      const reading = { chunk: engine.chunk, observe: "none", signal } as const;
      const { logits } = await prefill(engine, sequence, ids, reading);
      const utilities = await answerUtility({ engine, sequence, logits, prompt, signal });
      if (missed.length === 0) missed = new Float64Array(utilities.length);
      for (const [head, utility] of utilities.entries()) {
        const between = utility.subarray(sinks, ids.length - recent);
        missed[head] = (missed[head] ?? 0) + between.reduce((sum, one) => sum + one, 0);
      }
    },
    finish() {
      const most = missed.reduce((max, one) => Math.max(max, one), 0);
      if (most === 0) {
        throw new TrainingError(
          `Cannot measure heads: no prompt is longer than the ${
            sinks + recent
          } tokens that a streaming ` +
            "head keeps; give longer prompts, or lower 'sinks' and 'recent'",
          { options: ["sinks", "recent"] },
        );
      }
      const data = Float32Array.from(missed, (one) => one / most);
      return {
        tensors: { gates: { shape: [missed.length / kvHeads, kvHeads], data } },
        card: { sinks: `${sinks}`, recent: `${recent}`, measured: `${longer}` },
      };
    },
  };
}
