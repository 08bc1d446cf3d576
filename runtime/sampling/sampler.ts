import { xoroshiro128plusFromState } from "npm:pure-rand@8.4.2/generator/xoroshiro128plus";
import { NEGLIGIBLE } from "../../kernels/draw_settings.ts";
import { CheckpointError, PromptError } from "../errors.ts";
import type { Drawing } from "./drawing.ts";
import { greedyToken } from "./greedy.ts";
import { seededState } from "./seeded_state.ts";
import { maskLogits, type TokenMask } from "./token_mask.ts";

/** How the next token is drawn. */
export interface SamplingOptions {
  /** 0 takes the most likely token. @default {0} */
  readonly temperature?: number;
  /** Only the most likely `topK` tokens; 0 for all. @default {0} */
  readonly topK?: number;
  /** Only the most likely tokens whose probabilities add up to `topP`. @default {1} */
  readonly topP?: number;
  /** Only tokens at least `minP` times as likely as the most likely one. @default {0} */
  readonly minP?: number;
  /** Above 1: tokens that were seen already become less likely. @default {1} */
  readonly repetitionPenalty?: number;
  /** The same seed draws the same tokens. @default {0} */
  readonly seed?: number;
}

/** Draws tokens; each draw advances its random numbers. */
export interface Sampler {
  /**
   * @param logits `[vocabulary]`; not changed.
   * @param seen Tokens of the prompt and of the answer so far.
   * @param allowed The only tokens that may be drawn; all if absent.
   */
  next(logits: Float32Array, seen: ReadonlySet<number>, allowed?: TokenMask): number;
  /**
   * What a device needs to draw the next tokens as {@linkcode Sampler.next} would.
   *
   * @param seen Tokens of the prompt and of the answer so far; grows with the answer.
   * @param ends Ids that end the answer.
   */
  drawing(seen: ReadonlySet<number>, ends: ReadonlySet<number>): Drawing;
}

const BOUNDS: Readonly<Record<keyof SamplingOptions, (value: number) => string | undefined>> = {
  temperature: (value) => value >= 0 ? undefined : "must be at least 0",
  topK: (value) => Number.isInteger(value) && value >= 0 ? undefined : "must be an integer from 0",
  topP: (value) => value > 0 && value <= 1 ? undefined : "must be above 0 and at most 1",
  minP: (value) => value >= 0 && value <= 1 ? undefined : "must be from 0 to 1",
  repetitionPenalty: (value) => value > 0 ? undefined : "must be above 0",
  seed: (value) => Number.isInteger(value) ? undefined : "must be an integer",
};

/**
 * Makes a sampler. Filters apply in the order penalty, temperature, top-k, top-p, min-p.
 *
 * @throws {PromptError} If an option is out of range.
 * @throws {CheckpointError} From `next`, if no logit is a number.
 */
export function createSampler(options: SamplingOptions = {}): Sampler {
  for (const [name, check] of Object.entries(BOUNDS)) {
    const value = options[name as keyof SamplingOptions];
    if (value === undefined) continue;
    const problem = Number.isFinite(value) ? check(value) : "must be a finite number";
    if (problem === undefined) continue;
    throw new PromptError(`Cannot sample: '${name}' ${problem}, got ${value}`, { options: [name] });
  }
  const { temperature = 0, topK = 0, topP = 1, minP = 0, repetitionPenalty = 1, seed = 0 } =
    options;
  const random = xoroshiro128plusFromState(seededState(seed));
  /** Random numbers that were asked for ahead of their draws. */
  const ahead: number[] = [];
  const uniforms = (count: number): readonly number[] => {
    while (ahead.length < count) ahead.push((random.next() >>> 0) / 2 ** 32);
    return ahead.slice(0, count);
  };
  const uniform = (): number => {
    const [next = 0] = uniforms(1);
    ahead.shift();
    return next;
  };
  return {
    drawing: (seen, ends) => ({
      settings: { temperature, topK, topP, minP, repetitionPenalty },
      ...{ seen, ends },
      uniforms,
      drawn() {
        if (temperature > 0) uniform();
      },
    }),
    next(logits, seen, allowed) {
      const possible = allowed ? maskLogits(logits, allowed) : logits;
      const adjusted = penalise(possible, seen, repetitionPenalty);
      const best = greedyToken(adjusted);
      if (!((adjusted[best] ?? -Infinity) > -Infinity)) throw noNumber();
      if (temperature === 0) return best;
      const candidates = filter(adjusted, best, { temperature, topK, topP, minP });
      return draw(candidates, uniform());
    },
  };
}

function penalise(logits: Float32Array, seen: ReadonlySet<number>, penalty: number): Float32Array {
  if (penalty === 1) return logits;
  const adjusted = logits.slice();
  for (const id of seen) {
    const logit = adjusted[id];
    if (logit !== undefined) adjusted[id] = logit > 0 ? logit / penalty : logit * penalty;
  }
  return adjusted;
}

function noNumber(): CheckpointError {
  return new CheckpointError(
    "Cannot draw a token: no logit of the model is a number above -Infinity, so its weights are damaged " +
      "or overflow; fetch it again, or load it in precision 'fp32'",
  );
}

interface Candidate {
  readonly id: number;
  /** Relative to the most likely token. */
  readonly weight: number;
}

type Filters = Required<Pick<SamplingOptions, "temperature" | "topK" | "topP" | "minP">>;

function filter(
  logits: Float32Array,
  mostLikely: number,
  { temperature, topK, topP, minP }: Filters,
): readonly Candidate[] {
  const best = logits[mostLikely] ?? 0;
  const least = Math.max(minP, NEGLIGIBLE);
  const candidates: Candidate[] = [];
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] ?? -Infinity;
    // Where the best one is infinite, the difference is no number.
    const weight = logit === best ? 1 : Math.exp((logit - best) / temperature);
    // Sorting all 49,152 would cost more than the rest of the step.
    if (weight >= NEGLIGIBLE) candidates.push({ id, weight });
  }
  candidates.sort((a, b) => b.weight - a.weight || a.id - b.id);
  if (topK > 0) candidates.length = Math.min(candidates.length, topK);
  const total = candidates.reduce((sum, { weight }) => sum + weight, 0);
  let mass = 0;
  const nucleus = candidates.findIndex(({ weight }) => (mass += weight) >= topP * total);
  const kept = nucleus < 0 ? candidates : candidates.slice(0, nucleus + 1);
  return kept.filter(({ weight }, index) => index === 0 || weight >= least);
}

function draw(candidates: readonly Candidate[], uniform: number): number {
  const total = candidates.reduce((sum, { weight }) => sum + weight, 0);
  let left = uniform * total;
  for (const { id, weight } of candidates) {
    left -= weight;
    if (left < 0) return id;
  }
  return candidates.at(-1)?.id ?? 0;
}
