import { exactShares } from "./_exact_shares.ts";
import { sameForHeads, scalar, tokenCount } from "./kernels/nodes.ts";
import {
  type HeadAllocationRequest,
  type KernelBuilder,
  type KernelValue,
  type LayerShape,
  type ModelFile,
  OptionError,
  type Score,
  type ScorerPolicy,
  withKernel,
} from "./policy.ts";

/** Name of the policy that this is about, and the command that makes its file. */
const POLICY = "duo_attention";
const MAKE = "kvjudge train duo-attention";

/** How far back each head looks, layer by layer. */
export interface Gates {
  readonly kvHeads: number;
  readonly ofHeads: Float32Array;
}

export function gatesOf({ tensors: { gates } }: ModelFile): Gates {
  const [layers, kvHeads] = gates?.shape ?? [];
  if (gates && layers && kvHeads && gates.shape.length === 2) {
    return { kvHeads, ofHeads: gates.data };
  }
  throw new OptionError(
    `Cannot use the file of policy '${POLICY}': its tensor "gates" must be [layers, KV heads], it is ` +
      `${gates ? `[${gates.shape.join(", ")}]` : "absent"}; make one with \`${MAKE}\``,
  );
}

function checkHeads({ ofHeads }: Gates, heads: number): void {
  if (ofHeads.length === heads) return;
  throw new OptionError(
    `Cannot use the file of policy '${POLICY}': it has gates of ${ofHeads.length} KV heads, and the model ` +
      `evicts from ${heads}; make one with \`${MAKE}\``,
  );
}

/** Which heads stream. */
export interface Kinds extends Gates {
  /** Layer by layer. */
  readonly streams: readonly boolean[];
}

/** The heads with the smallest gates stream; of equal ones the first. */
export function kindsOf(gates: Gates, share: number): Kinds {
  const { ofHeads } = gates;
  const rising = [...ofHeads.keys()].sort((a, b) => (ofHeads[a] ?? 0) - (ofHeads[b] ?? 0) || a - b);
  const streaming = new Set(rising.slice(0, Math.round(share * ofHeads.length)));
  return { ...gates, streams: Array.from(ofHeads.keys(), (head) => streaming.has(head)) };
}

/** The last tokens rank highest, and the first ones above them. */
function recency(length: number, sinks: number): Float32Array {
  return Float32Array.from({ length }, (_, token) => token < sinks ? 2 * length : token);
}

/** The same where the cache lives, `[length]`. */
function recencyKernel(builder: KernelBuilder, sinks: number): KernelValue {
  const counting = builder.counting();
  return builder.op("Where", [
    builder.op("Less", [counting, scalar(builder, sinks)]),
    builder.op("Mul", [tokenCount(builder), scalar(builder, 2)]),
    counting,
  ]);
}

/** Scores of streaming heads by recency, of the others by a policy. */
export function scoreByKind(
  judge: ScorerPolicy | undefined,
  kinds: Kinds | undefined,
  sinks: number,
): Score {
  if (!judge) {
    return withKernel(
      ({ kvHeads, length }) => {
        const ofHead = recency(length, sinks);
        return Float32Array.from({ length: kvHeads * length }, (_, at) => ofHead[at % length] ?? 0);
      },
      (layer) => sameForHeads(layer, recencyKernel(layer, sinks)),
    );
  }
  const { kernel } = judge.score;
  if (!kinds) return withKernel((layer) => judge.score(layer), kernel);
  const streamsIn = ({ layer, firstHead }: LayerShape, head: number) =>
    kinds.streams[layer * kinds.kvHeads + firstHead + head] === true;
  return withKernel(
    async (layer) => {
      const scores = (await judge.score(layer)).slice();
      const ofHead = recency(layer.length, sinks);
      for (let head = 0; head < layer.kvHeads; head++) {
        if (streamsIn(layer, head)) scores.set(ofHead, head * layer.length);
      }
      return scores;
    },
    kernel && ((layer) => {
      const marks = layer.given(
        [layer.kvHeads, 1],
        (shape) =>
          Float32Array.from({ length: shape.kvHeads }, (_, head) => streamsIn(shape, head) ? 1 : 0),
      );
      const streams = layer.op("Greater", [marks, layer.constant(Float32Array.of(0.5), [])]);
      return layer.op("Where", [streams, recencyKernel(layer, sinks), kernel(layer)]);
    }),
  );
}

/** Without an inner policy: the budget decides how many heads keep everything. */
export function dividedByGate(
  request: HeadAllocationRequest,
  gates: Gates | undefined,
  size: StreamingSize,
): readonly number[] {
  const { scores } = request;
  const total = totalOf(request);
  const counts = scores.map((ofHead) => streamingCount(ofHead, size));
  let left = total - sumOf(counts);
  if (!gates || left < 0) return evenly(scores, total);
  checkHeads(gates, scores.length);
  const { ofHeads } = gates;
  const falling = [...ofHeads.keys()].sort((a, b) =>
    (ofHeads[b] ?? 0) - (ofHeads[a] ?? 0) || a - b
  );
  for (const head of falling) {
    const count = counts[head] ?? 0;
    const more = Math.min(left, (scores[head]?.length ?? 0) - count);
    counts[head] = count + more;
    left -= more;
  }
  return counts;
}

/** With an inner policy: what streaming heads leave is divided evenly among the others. */
export function dividedByKind(
  request: HeadAllocationRequest,
  kinds: Kinds | undefined,
  { sinks, recent }: StreamingSize,
): readonly number[] {
  const { scores, keep } = request;
  const total = totalOf(request);
  if (!kinds) return evenly(scores, total);
  checkHeads(kinds, scores.length);
  // Streaming heads never get more than an even share: the others are to gain.
  const most = Math.min(sinks + recent, Math.floor(keep));
  const streams = (head: number) => kinds.streams[head] === true;
  const counts = scores.map((ofHead, head) =>
    streams(head) ? streamingCount(ofHead, { sinks: 0, recent: most }) : 0
  );
  const others = scores.filter((_, head) => !streams(head));
  const room = sumOf(others.map(({ length }) => length));
  const shares = evenly(others, Math.min(room, total - sumOf(counts)));
  let left = total - sumOf(counts) - sumOf(shares);
  let next = 0;
  return counts.map((count, head) => {
    if (!streams(head)) return shares[next++] ?? 0;
    const more = Math.min(left, (scores[head]?.length ?? 0) - count);
    left -= more;
    return count + more;
  });
}

/** What a streaming head keeps. */
export interface StreamingSize {
  readonly sinks: number;
  readonly recent: number;
}

function streamingCount(ofHead: Float32Array, { sinks, recent }: StreamingSize): number {
  return Math.min(ofHead.length, Math.max(1, certain(ofHead), sinks + recent));
}

/** Tokens that stay in any case. */
function certain(ofHead: Float32Array): number {
  return ofHead.reduce((count, score) => count + Number(score === Infinity), 0);
}

function evenly(scores: readonly Float32Array[], total: number): readonly number[] {
  return exactShares(
    total,
    scores.map((ofHead) => ({
      ideal: 1,
      least: Math.max(1, certain(ofHead)),
      most: ofHead.length,
    })),
  );
}

function totalOf({ scores, keep }: HeadAllocationRequest): number {
  return Math.min(sumOf(scores.map(({ length }) => length)), Math.round(keep * scores.length));
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
