import type { StepOutputs } from "../../kernels/step.ts";
import { hostCacheOf } from "../../runtime/cache/host_cache.ts";
import type { Engine, StepInput, StepResult } from "../../runtime/engine/engine.ts";
import type { Sequence } from "../../runtime/engine/sequence.ts";
import { changeWithLength } from "../../runtime/rotary/frequencies.ts";
import type { PrefixCache, PrefixPlace } from "./prefix_cache.ts";
import type { Turns } from "./turns.ts";

/** How one request uses an engine. */
export interface LaneOptions {
  /** Gets the number of tokens that did not have to be read again. */
  readonly onCached?: (tokens: number) => void;
  /** Gets the logits of every prompt token, `[tokens, vocabulary]`, chunk by chunk; all are read then. */
  readonly onLogits?: (ids: readonly number[], logits: Float32Array) => void;
}

/** An engine as one request sees it. */
export interface Lane {
  readonly engine: Engine;
  /** Says that the prompt is read: what follows is an answer, and is not remembered. */
  answers(): void;
}

/**
 * An engine as one request sees it: its steps wait for their turn among those of others, single tokens
 * go through the weights with those of others, and chunks that were read before are not read again.
 *
 * A chunk that was read before is the same chunk behind the same chunks, so that what it gives is what
 * reading gives to the bit. A step that is observed, or whose queries are wanted, is always taken.
 */
export function laneOf(
  engine: Engine,
  turns: Turns,
  prefixes: PrefixCache,
  { onCached, onLogits }: LaneOptions = {},
): Lane {
  const { config } = engine;
  let reading = true;
  const places = new WeakMap<Sequence, { readonly place: PrefixPlace; readonly tokens: number }>();

  /** Where a sequence stands that holds nothing but chunks that are remembered. */
  const placeOf = (sequence: Sequence): PrefixPlace | undefined => {
    const { cache, position, planned } = sequence;
    if (!reading || onLogits || cache.home !== "host") return undefined;
    if (position === 0 && cache.mark().lengths.every((length) => length === 0)) {
      return prefixes.root(changeWithLength(config) ? String(planned) : "");
    }
    const known = places.get(sequence);
    return known?.tokens === position ? known.place : undefined;
  };
  const chunk = async (sequence: Sequence, input: StepInput): Promise<StepResult> => {
    const { ids = [], observe = false, queries = false, embeddings, rows } = input;
    const plain = !observe && !queries && !embeddings && !rows;
    const place = plain ? placeOf(sequence) : undefined;
    const found = place?.find(ids);
    if (found) {
      const cache = hostCacheOf(sequence.cache);
      found.node.entries.forEach(({ keys, values }, layer) => {
        cache.append(layer, keys, values, sequence.position);
      });
      sequence.position += ids.length;
      places.set(sequence, { place: found.place, tokens: sequence.position });
      onCached?.(ids.length);
      return { logits: found.node.logits, attentionSums: [], queries: [] };
    }
    const result = await engine.advance(sequence, input);
    if (place && hasEntries(result)) {
      const { entries, logits } = result;
      const next = place.add({ ids: [...ids], entries, logits: new Float32Array(logits) });
      places.set(sequence, { place: next, tokens: sequence.position });
    }
    return result;
  };
  const allRows = async (sequence: Sequence, input: StepInput): Promise<StepResult> => {
    const { ids = [] } = input;
    const { vocabulary } = config;
    const result = await engine.advance(sequence, { ...input, rows: [...ids.keys()] });
    onLogits?.(ids, result.logits);
    return { ...result, logits: result.logits.subarray((ids.length - 1) * vocabulary) };
  };
  const shared: Engine = {
    ...engine,
    async advance(sequence, input) {
      const { ids = [], observe, queries, embeddings, rows } = input;
      const [id] = ids;
      const single = ids.length === 1 && !observe && !queries && !embeddings && !rows;
      if (single && id !== undefined && !reading) {
        return {
          logits: await turns.write({ sequence, id }),
          attentionSums: [],
          queries: [],
        };
      }
      const all = reading && onLogits !== undefined;
      return await turns.read(() => all ? allRows(sequence, input) : chunk(sequence, input));
    },
    probe: (sequence, input) => turns.read(() => engine.probe(sequence, input)),
  };
  return { engine: shared, answers: () => void (reading = false) };
}

function hasEntries(result: StepResult): result is StepResult & Pick<StepOutputs, "entries"> {
  return "entries" in result;
}
