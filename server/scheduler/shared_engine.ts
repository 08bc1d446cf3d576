import type { StepOutputs } from "../../kernels/step.ts";
import { globalLayersOf } from "../../runtime/cache/global_layers.ts";
import { hostCacheOf } from "../../runtime/cache/host_cache.ts";
import type { Engine, StepInput, StepResult } from "../../runtime/engine/engine.ts";
import type { Sequence } from "../../runtime/engine/sequence.ts";
import { changeWithLength } from "../../runtime/rotary/frequencies.ts";
import type { PrefixCache, PrefixPlace } from "./prefix_cache.ts";
import type { Turns } from "./turns.ts";

/** How one request uses an engine. */
export interface LaneOptions {
  /**
   * What the first sequence holds, where it does not begin with nothing: prompts behind the same name are
   * behind the same cache.
   */
  readonly behind?: { readonly name: string; readonly tokens: number };
  /**
   * Tokens behind which a step of its own begins if it pays, in ascending order. They must depend on
   * nothing that follows them: a prompt that goes on then begins with the same steps.
   */
  readonly cuts?: readonly number[];
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

/** Where a sequence stands that holds nothing but steps that are remembered. */
interface Standing {
  readonly place: PrefixPlace;
  /** Its position then: another one says that something else was read meanwhile. */
  readonly position: number;
  /** Entries that it held then: another number says that something was evicted meanwhile. */
  readonly held: number;
  /** Tokens of the text so far. */
  readonly tokens: number;
}

/** Tokens that a step must have to be worth its own way through the weights. */
const FEWEST = 64;

/**
 * An engine as one request sees it: its steps wait for their turn among those of others, single tokens
 * go through the weights with those of others, and steps that were read before are not read again.
 *
 * A step that was read before is the same step behind the same steps, so that what it gives is what
 * reading gives to the bit: the last bits depend on how many tokens a step has. One that is observed, or of
 * which queries or what layers read is wanted, is always taken, and one of a single token, which may be
 * computed otherwise.
 */
export function laneOf(
  engine: Engine,
  turns: Turns,
  prefixes: PrefixCache,
  { behind, cuts = [], onCached, onLogits }: LaneOptions = {},
): Lane {
  const { config } = engine;
  let reading = true;
  let begun = false;
  const standings = new WeakMap<Sequence, Standing>();

  const standingOf = (sequence: Sequence): Standing | undefined => {
    const { cache, position, planned } = sequence;
    if (!reading || onLogits || cache.home !== "host") return undefined;
    const known = standings.get(sequence);
    if (known) {
      const same = known.position === position && known.held === heldBy(sequence);
      return same ? known : undefined;
    }
    const starts = behind
      ? !begun
      : position === 0 && cache.mark().lengths.every((length) => length === 0);
    if (!starts) return undefined;
    const scaled = changeWithLength(config) ? String(planned) : "";
    const place = prefixes.root(behind ? `${behind.name} ${scaled}` : scaled);
    const standing = { place, position, held: heldBy(sequence), tokens: behind?.tokens ?? 0 };
    standings.set(sequence, standing);
    return standing;
  };
  /** One step, or what it gave before. */
  const step = async (
    sequence: Sequence,
    ids: readonly number[],
    { place, tokens }: Standing,
  ): Promise<StepResult> => {
    const found = place.find(ids);
    if (found) {
      const cache = hostCacheOf(sequence.cache);
      found.node.entries.forEach(({ keys, values }, layer) => {
        cache.append(layer, keys, values, sequence.position);
      });
      sequence.position += ids.length;
      standings.set(sequence, {
        ...{ place: found.place, tokens: tokens + ids.length },
        ...{ position: sequence.position, held: heldBy(sequence) },
      });
      onCached?.(ids.length);
      return { logits: found.node.logits, attentionSums: [], queries: [] };
    }
    const result = await engine.advance(sequence, { ids });
    if (hasEntries(result)) {
      const { entries, logits } = result;
      const next = place.add({ ids: [...ids], entries, logits: new Float32Array(logits) });
      standings.set(sequence, {
        ...{ place: next, tokens: tokens + ids.length },
        ...{ position: sequence.position, held: heldBy(sequence) },
      });
    }
    return result;
  };
  const read = async (sequence: Sequence, input: StepInput): Promise<StepResult> => {
    const { ids = [], observe = false, queries = false, embeddings, rows } = input;
    const { layerInputs = false, inputNorms = false } = input;
    const watched = observe || queries || layerInputs || inputNorms;
    const plain = !watched && !embeddings && !rows && ids.length > 1;
    const standing = plain ? standingOf(sequence) : undefined;
    begun = true;
    if (!standing) return await turns.read(() => engine.advance(sequence, input));
    const ends = stepEnds(cuts, standing.tokens, ids.length);
    let result: StepResult | undefined;
    for (const [index, end] of ends.entries()) {
      const part = ids.slice(ends[index - 1] ?? 0, end);
      result = await turns.read(async () => {
        const now = standingOf(sequence);
        return now
          ? await step(sequence, part, now)
          : await engine.advance(sequence, { ids: part });
      });
    }
    if (!result) throw new RangeError("A step of no tokens gave no result");
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
      const { ids = [], observe, queries, embeddings, rows, temporary } = input;
      const [id] = ids;
      const single = ids.length === 1 && !observe && !queries && !embeddings && !rows;
      if (single && id !== undefined && !reading) {
        return {
          logits: await turns.write({ sequence, id }),
          attentionSums: [],
          queries: [],
        };
      }
      // A draft is no part of the prompt.
      if (reading && onLogits && !temporary) {
        return await turns.read(() => allRows(sequence, input));
      }
      return await read(sequence, input);
    },
    probe: (sequence, input) => turns.read(() => engine.probe(sequence, input)),
  };
  return { engine: shared, answers: () => void (reading = false) };
}

/** Where the steps end that so many tokens behind `from` are read in, counted from there. */
function stepEnds(cuts: readonly number[], from: number, tokens: number): number[] {
  const ends: number[] = [];
  let last = 0;
  for (const cut of cuts) {
    const end = cut - from;
    // A single token that is left over would be computed otherwise.
    if (end - last < FEWEST || tokens - end < 2) continue;
    ends.push(end);
    last = end;
  }
  return [...ends, tokens];
}

function heldBy({ cache }: Sequence): number {
  return globalLayersOf(cache).reduce(
    (sum, layer) => cache.lengths(layer).reduce((all, length) => all + length, sum),
    0,
  );
}

function hasEntries(result: StepResult): result is StepResult & Pick<StepOutputs, "entries"> {
  return "entries" in result;
}
