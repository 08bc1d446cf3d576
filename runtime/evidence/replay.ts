import type { ModelFacts, Replay } from "../../policies/policy.ts";
import { globalLayersOf, mostHeld } from "../cache/global_layers.ts";
import type { Engine, StepResult } from "../engine/engine.ts";
import { emptyRows, rowsOfHead } from "../engine/packed_rows.ts";
import { pause } from "../engine/pause.ts";
import { holdSequence, rollbackSequence, type Sequence } from "../engine/sequence.ts";
import { mergedSpans, pinnedEntries } from "../evict/pinned.ts";

/** What is repeated, and where. */
export interface ReplayRequest {
  readonly engine: Engine;
  readonly sequence: Sequence;
  readonly facts: Pick<ModelFacts, "encode" | "turnEnd">;
  /** All tokens that the sequence has read, evicted ones too. */
  readonly text: readonly number[];
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
 * What each token that is held gets when the model repeats the text, at most, per global layer: rows of query
 * heads in main memory. The sequence is left as it was.
 */
export async function replayedAttention(
  replay: Replay,
  request: ReplayRequest,
): Promise<readonly Float32Array[]> {
  const { engine, sequence } = request;
  const { cache } = sequence;
  const group = engine.config.heads / engine.config.kvHeads;
  const globals = globalLayersOf(cache);
  const most = globals.map((layer) => emptyRows(group, cache.lengths(layer)));
  const parts = await partsOf(replay, request);
  await cache.reserve(Math.max(0, ...parts.map(({ ids }) => ids.length)));
  for (const part of parts) await repeatPart(part, replay, request, most);
  if (replay.measure !== "contribution") return most;
  for (const [index, layer] of globals.entries()) {
    const lengths = await engine.outputLengths(cache, layer);
    most[index]?.forEach((value, at, rows) => rows[at] = value * (lengths[at] ?? 0));
  }
  return most;
}

/** Repeats a part, and notes what its tokens get. */
async function repeatPart(
  { from, to, ids }: Part,
  { sinks, measure }: Replay,
  { engine, sequence, signal }: ReplayRequest,
  most: readonly Float32Array[],
): Promise<void> {
  const { cache } = sequence;
  const spans = (end: number) => [{ from: 0, to: Math.min(sinks, end) }];
  const layers = globalLayersOf(cache).map((layer) => ({
    layer,
    held: cache.lengths(layer),
    sinks: pinnedEntries(sequence, spans(from), layer),
    seen: pinnedEntries(sequence, mergedSpans([...spans(from), { from, to }]), layer),
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
        inputNorms: weighed,
        // A step that decodes gives no norms.
        observe: weighed && next.length === 1,
      });
      using _step = ownerOf(step);
      for (const [index, { layer, held, sinks, seen }] of layers.entries()) {
        const queries = step.queries[layer];
        if (!queries) continue;
        const gotten = await engine.repeatedAttention(cache, layer, {
          ...{ queries, tokens: next.length, seen, held },
          factors: weighed ? step.inputNorms?.[index]?.map((norm) => 1 / norm) : undefined,
        });
        for (const [head, ofHead] of gotten.entries()) {
          const entries = seen[head] ?? new Int32Array();
          const rows = most[index] ?? new Float32Array();
          const group = ofHead.length / entries.length;
          const into = rowsOfHead(rows, group, held, head);
          raise(into, held[head] ?? 0, ofHead, entries, sinks[head]?.length ?? 0);
        }
      }
    }
  } finally {
    rollbackSequence(sequence, mark);
  }
}

/** Raises numbers of some entries to others, row by row. */
function raise(
  rows: Float32Array,
  held: number,
  found: Float32Array,
  entries: Int32Array,
  skip: number,
): void {
  for (let row = 0; row * held < rows.length; row++) {
    for (let at = skip; at < entries.length; at++) {
      const entry = row * held + (entries[at] ?? 0);
      const value = found[row * entries.length + at] ?? 0;
      if (value > (rows[entry] ?? 0)) rows[entry] = value;
    }
  }
}

function ownerOf({ queries, attentionSums }: StepResult): DisposableStack {
  const owner = new DisposableStack();
  for (const one of [...queries, ...attentionSums]) owner.use(one);
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
