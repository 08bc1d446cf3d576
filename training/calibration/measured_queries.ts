import type { RotarySpan } from "../../kernels/rope.ts";
import { globalLayers } from "../../runtime/checkpoint/layer_kinds.ts";
import type { StepQueries } from "../../runtime/engine/engine.ts";
import { prefill } from "../../runtime/engine/prefill.ts";
import { emptySequence } from "../../runtime/engine/sequence.ts";
import type { Model } from "../../runtime/model.ts";
import { changeWithLength, layerFrequencies } from "../../runtime/rotary/frequencies.ts";
import { TrainingError } from "../errors.ts";
import type { TrainingPrompt } from "../prompts.ts";

/** Rotated queries of some tokens in one global layer. */
export interface LayerQueries {
  /** Which of the global layers. */
  readonly index: number;
  /** `[tokens, heads · headDim]`. */
  readonly queries: StepQueries;
  readonly tokens: number;
  /** How they were rotated. */
  readonly rotary: RotarySpan;
}

/** Reads a prompt, and its answer where the data has one, and hands the queries of each step over. */
export async function queriesOfPrompt(
  { engine }: Pick<Model, "engine">,
  { ids, response }: TrainingPrompt,
  take: (queries: LayerQueries) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { config } = engine;
  const globals = globalLayers(config);
  using cache = engine.newCache();
  const text = [...ids, ...(response.kind === "original" ? response.ids : [])];
  await prefill(engine, emptySequence(cache), text, {
    chunk: engine.chunk,
    observe: "none",
    signal,
    async onQueries(ofLayers, { position, planned }, tokens) {
      for (const [index, layer] of globals.entries()) {
        const queries = ofLayers[layer];
        if (!queries) continue;
        const frequencies = layerFrequencies(config, layer, planned);
        await take({ index, queries, tokens, rotary: { frequencies, start: position } });
      }
    },
  });
}

/**
 * Refuses models whose queries are rotated otherwise in longer texts.
 *
 * @throws {TrainingError} If the model's is one.
 */
export function demandFixedRotation({ config }: Pick<Model, "config">): void {
  if (!changeWithLength(config)) return;
  throw new TrainingError(
    "Cannot measure this model's queries: its RoPE scaling changes with the text's length, so that what is " +
      "measured on one text does not hold for a longer one; measure a model without such scaling",
    { options: ["model"] },
  );
}
