import type { Engine } from "../../runtime/engine/engine.ts";
import type { Model } from "../../runtime/model.ts";

/** Calls that reached an engine. */
export interface EngineCalls {
  /** Tokens of each `advance`. */
  readonly advanced: number[];
  /** Tokens, or 0 for rows of embeddings, of each `probe`. */
  readonly probed: number[];
}

/** A model whose engine writes down what it is asked. */
export function countingModel(
  model: Model,
): { readonly model: Model; readonly calls: EngineCalls } {
  const calls: EngineCalls = { advanced: [], probed: [] };
  const engine: Engine = {
    ...model.engine,
    async advance(sequence, input) {
      calls.advanced.push(input.ids?.length ?? 0);
      return await model.engine.advance(sequence, input);
    },
    async probe(sequence, input) {
      calls.probed.push(input.ids?.length ?? 0);
      return await model.engine.probe(sequence, input);
    },
  };
  return { model: { ...model, engine }, calls };
}
