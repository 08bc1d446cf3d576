import type { Explanation } from "../../_explanation.ts";
import type { Piece } from "../_pieces.ts";

/** Scores of more tokens times heads are given as their mean over a layer's heads, then not at all. */
export const MOST_SCORES = 1_000_000;

/** What the sliders show at first; -1 is all. */
interface Shown {
  readonly layer: number;
  readonly head: number;
}

/** What the page's script reads. Arrays are deflated and in base 64. */
export interface PageData extends Shown {
  readonly tokens: number;
  readonly layers: number;
  readonly heads: number;
  /** Windows of the layers that slide, 0 for the others. */
  readonly windows: readonly number[];
  /** Text of each piece of the prompt. */
  readonly texts: readonly string[];
  /** Pieces of more than one token: index and count, in turn. */
  readonly joined: readonly number[];
  /** Token ids, 32 bits each. */
  readonly ids: string;
  /** One bit per token, set where it is kept; per head whole bytes, layer by layer. */
  readonly kept: string;
  /** The upper halves of 32-bit floats, per token; for each head, each layer or not at all. */
  readonly scores: string;
  readonly scoresOf: "head" | "layer" | "none";
}

/** What {@linkcode packPage} puts together. */
export interface PackRequest extends Shown {
  readonly explanation: Explanation;
  readonly pieces: readonly Piece[];
  readonly ids: readonly number[];
  /** Per layer `[heads × tokens]`; none where the policy has none, or the layer slides. */
  readonly scores: readonly Float32Array[];
}

/** Packs an explanation for the page: a few bits per token and head. */
export async function packPage(request: PackRequest): Promise<PageData> {
  const { explanation, pieces, ids, layer, head } = request;
  const { tokens, layers } = explanation;
  const heads = layers[0]?.heads.length ?? 0;
  const scored = request.scores.filter(({ length }) => length > 0);
  const { scoresOf, halves } = packScores(scored, tokens, heads);
  return {
    tokens,
    layers: layers.length,
    heads,
    windows: layers.map(({ window = 0 }) => window),
    layer,
    head,
    texts: pieces.map(({ text }) => text),
    joined: pieces.flatMap(({ count }, at) => count === 1 ? [] : [at, count]),
    ids: await deflate(new Uint8Array(Int32Array.from(ids).buffer)),
    kept: await deflate(keptBits(explanation)),
    scores: await deflate(new Uint8Array(halves.buffer)),
    scoresOf,
  };
}

function keptBits({ tokens, layers }: Explanation): Uint8Array<ArrayBuffer> {
  const stride = Math.ceil(tokens / 8);
  const all = layers.flatMap(({ heads }) => heads);
  const bits = new Uint8Array(all.length * stride);
  for (const [row, { kept }] of all.entries()) {
    for (const at of kept) {
      const byte = row * stride + (at >> 3);
      bits[byte] = (bits[byte] ?? 0) | 1 << (at & 7);
    }
  }
  return bits;
}

function packScores(scores: readonly Float32Array[], tokens: number, heads: number) {
  const count = scores.length * heads * tokens;
  if (count === 0 || count > MOST_SCORES * heads) {
    return { scoresOf: "none" as const, halves: new Uint16Array() };
  }
  if (count <= MOST_SCORES) return { scoresOf: "head" as const, halves: upperHalves(scores) };
  const means = scores.map((layer) => {
    const mean = new Float32Array(tokens);
    for (const [at, score] of layer.entries()) {
      mean[at % tokens] = (mean[at % tokens] ?? 0) + score / heads;
    }
    return mean;
  });
  return { scoresOf: "layer" as const, halves: upperHalves(means) };
}

/** Two significant digits are enough to read. */
function upperHalves(layers: readonly Float32Array[]): Uint16Array<ArrayBuffer> {
  const halves = new Uint16Array(layers.reduce((sum, layer) => sum + layer.length, 0));
  let at = 0;
  for (const layer of layers) {
    const bits = new Uint32Array(Float32Array.from(layer).buffer);
    for (const word of bits) halves[at++] = word >>> 16;
  }
  return halves;
}

async function deflate(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return (await new Response(stream).bytes()).toBase64();
}
