import type { ModelFacts, Replay } from "../../policies/policy.ts";
import { globalLayersOf, mostHeld } from "../cache/global_layers.ts";
import type { Engine, Repetition, StepResult } from "../engine/engine.ts";
import { pause } from "../engine/pause.ts";
import type { Rows } from "../engine/rows.ts";
import { holdSequence, rollbackSequence, type Sequence } from "../engine/sequence.ts";
import { mergedSpans, pinnedEntries } from "../evict/pinned.ts";

/** What is repeated, and where. */
export interface ReplayRequest {
  readonly engine: Engine;
  readonly sequence: Sequence;
  readonly facts: Pick<ModelFacts, "encode" | "turnEnd">;
  /** All tokens that the sequence has read, evicted ones too. */
  readonly text: readonly number[];
  /** Owns what is gathered. */
  readonly scope: DisposableStack;
  readonly signal?: AbortSignal | undefined;
}

/** Weights of a repetition are laid out in full: short steps bound them. */
const MOST_TOKENS = 256;

/** A part of a text, and what is read to repeat it. */
interface Part {
  readonly from: number;
  readonly to: number;
  readonly ids: readonly number[];
}

/**
 * What each token that is held gets when the model repeats the text, at most, per global layer. The sequence is
 * left as it was.
 */
export async function replayedAttention(
  replay: Replay,
  request: ReplayRequest,
): Promise<readonly Rows[]> {
  const { engine, sequence, scope } = request;
  const { cache } = sequence;
  const parts = await partsOf(replay, request);
  await cache.reserve(Math.max(0, ...parts.map(({ ids }) => ids.length)));
  using gathering = new DisposableStack();
  const most = globalLayersOf(cache).map((layer) => gathering.use(mostOf(layer)));
  for (const part of parts) await repeatPart(part, replay, request, most);
  const all: Rows[] = [];
  for (const { layer, rows } of most) {
    using lengths = replay.measure === "contribution"
      ? await engine.outputLengths(cache, layer)
      : undefined;
    all.push(scope.use(await (await rows()).times(lengths ?? 1)));
  }
  return all;

  function mostOf(layer: number): MostOfLayer {
    const { heads, kvHeads } = engine.config;
    const lengths = cache.lengths(layer);
    const held = lengths.reduce((sum, length) => sum + length, 0);
    let found: Rows | undefined;
    return {
      layer,
      async raise(repetition) {
        const more = await engine.repeatedAttention(cache, layer, repetition, found);
        found?.[Symbol.dispose]();
        found = more;
      },
      rows: async () =>
        found ??= await engine.rows(new Float32Array(held * heads / kvHeads), lengths),
      [Symbol.dispose]: () => found?.[Symbol.dispose](),
    };
  }
}

/** The most that tokens of a global layer got. Owns the rows. */
interface MostOfLayer extends Disposable {
  readonly layer: number;
  /** Raises it to what a repetition gives. */
  raise(repetition: Repetition): Promise<void>;
  rows(): Promise<Rows>;
}

/** Repeats a part, and notes what its tokens get. */
async function repeatPart(
  { from, to, ids }: Part,
  { sinks, measure }: Replay,
  { engine, sequence, signal }: ReplayRequest,
  most: readonly MostOfLayer[],
): Promise<void> {
  const { cache } = sequence;
  const spans = (end: number) => [{ from: 0, to: Math.min(sinks, end) }];
  const layers = most.map((ofLayer) => ({
    ofLayer,
    held: cache.lengths(ofLayer.layer),
    unasked: pinnedEntries(sequence, spans(from), ofLayer.layer).map(({ length }) => length),
    seen: pinnedEntries(
      sequence,
      mergedSpans([...spans(from), { from, to }]),
      ofLayer.layer,
    ),
  }));
  const weighed = measure === "contribution";
  const size = Math.min(MOST_TOKENS, engine.maxStepTokens(mostHeld(cache) + ids.length));
  using mark = holdSequence(sequence);
  try {
    for (let start = 0; start < ids.length; start += size) {
      await pause(signal);
      const next = ids.slice(start, start + size);
      const step = await engine.advance(sequence, {
        ids: next,
        queries: true,
        next: "nothing",
        inputNorms: weighed,
        // A step that decodes gives no norms.
        observe: weighed && next.length === 1,
      });
      using _step = ownerOf(step);
      for (const [index, { ofLayer, held, unasked, seen }] of layers.entries()) {
        const queries = step.queries[ofLayer.layer];
        if (!queries) continue;
        const { inputNorms } = step;
        await ofLayer.raise({
          ...{ queries, tokens: next.length, seen, held, unasked },
          norms: weighed && inputNorms ? { of: inputNorms, layer: index } : undefined,
        });
      }
    }
  } finally {
    rollbackSequence(sequence, mark);
  }
}

function ownerOf({ queries, attentionSums, inputNorms }: StepResult): DisposableStack {
  const owner = new DisposableStack();
  for (const one of [...queries, ...attentionSums]) owner.use(one);
  owner.use(inputNorms);
  return owner;
}

/** The text in parts, each behind what asks for it. */
async function partsOf(
  { chunk, instruction, continuation, overlap }: Replay,
  { text, facts: { encode, turnEnd = [] } }: ReplayRequest,
): Promise<readonly Part[]> {
  const asked = await encode?.(instruction) ?? [];
  const further = await encode?.(continuation) ?? [];
  const parts: Part[] = [];
  for (let from = 0; from < text.length; from += chunk) {
    const to = Math.min(text.length, from + chunk);
    const before = from === 0
      ? asked
      : [...further, ...(encode ? text.slice(Math.max(0, from - overlap), from) : [])];
    parts.push({ from, to, ids: [...before, ...turnEnd, ...text.slice(from, to)] });
  }
  return parts;
}
