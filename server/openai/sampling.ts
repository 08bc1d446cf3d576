import type { SamplingSettings } from "../scheduler/request.ts";
import { present } from "../schemas/fields.ts";

/** The fields that say how tokens are drawn. */
export interface SamplingFields {
  readonly temperature?: number | null | undefined;
  readonly top_p?: number | null | undefined;
  readonly top_k?: number | null | undefined;
  readonly min_p?: number | null | undefined;
  readonly frequency_penalty?: number | null | undefined;
  readonly presence_penalty?: number | null | undefined;
  readonly repetition_penalty?: number | null | undefined;
  readonly seed?: number | null | undefined;
  readonly logit_bias?: Readonly<Record<string, number>> | null | undefined;
}

/** OpenAI's, where a request gives none. */
const TEMPERATURE = 1;

/** How a request's tokens are drawn. */
export function samplingOf(fields: SamplingFields, newSeed: () => number): SamplingSettings {
  const { top_p, top_k, temperature, seed, logit_bias } = fields;
  // No token has a share of nothing: the likeliest is meant.
  const greedy = top_p === 0;
  return {
    temperature: greedy ? 0 : temperature ?? TEMPERATURE,
    seed: seed ?? newSeed(),
    ...present({
      topP: greedy ? undefined : top_p,
      topK: top_k === undefined || top_k === null ? undefined : Math.max(0, top_k),
      minP: fields.min_p,
      frequencyPenalty: fields.frequency_penalty,
      presencePenalty: fields.presence_penalty,
      repetitionPenalty: fields.repetition_penalty,
      logitBias: logit_bias,
    }),
  };
}

/** Stop texts as a list. */
export function stopTexts(stop: string | readonly string[] | null | undefined): readonly string[] {
  return typeof stop === "string" ? [stop] : stop ?? [];
}
