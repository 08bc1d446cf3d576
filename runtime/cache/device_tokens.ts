import type { CacheKernels } from "../../kernels/device/cache_kernels.ts";
import type { LayerBuffers } from "../../kernels/device/layer_buffers.ts";
import { angleTables } from "../rotary/angle_tables.ts";

/** A run of tokens on a device, all KV heads the same. Buffers go with the last that uses them. */
export interface DeviceTokens {
  /** Number of the token in the first slot. */
  readonly from: number;
  /** Slots. */
  readonly capacity: number;
  readonly buffers: LayerBuffers;
  /** Of the token in each slot. */
  readonly positions: Int32Array;
  users: number;
}

/** Some of the tokens of a run: from `from` to before `end`. */
export interface TokenPiece {
  readonly source: DeviceTokens;
  readonly from: number;
  readonly end: number;
}

/** Where tokens are to be copied to. */
export interface CutTokens {
  readonly from: number;
  readonly end: number;
  /** Slots of the copy. */
  readonly capacity: number;
}

/** Gives a share in tokens back. */
export function leaveTokens(tokens: DeviceTokens): void {
  tokens.users--;
  if (tokens.users > 0) return;
  tokens.buffers.keys[Symbol.dispose]();
  tokens.buffers.values[Symbol.dispose]();
}

/** Takes a share in each piece. */
export function sharedPieces(pieces: readonly TokenPiece[]): readonly TokenPiece[] {
  for (const { source } of pieces) source.users++;
  return pieces;
}

/** How far back the tokens before `end` are there without a gap. */
export function reachOf(sources: readonly TokenPiece[], end: number): number {
  let from = end;
  for (let moved = true; moved;) {
    moved = false;
    for (const source of sources) {
      if (source.from >= from || source.end < from) continue;
      from = source.from;
      moved = true;
    }
  }
  return from;
}

/** Pieces that are the tokens from `from` to before `end`, in their order. They must all be there. */
export function covering(
  sources: readonly TokenPiece[],
  from: number,
  end: number,
): readonly TokenPiece[] {
  const pieces: TokenPiece[] = [];
  for (let at = from; at < end;) {
    const found = sources.find((one) => one.from <= at && one.end > at);
    if (!found) throw new RangeError(`Cannot copy token ${at} of a sliding layer: it is gone`);
    const until = Math.min(end, found.end);
    pieces.push({ source: found.source, from: at, end: until });
    at = until;
  }
  return pieces;
}

/** Copies tokens, one user's, into buffers of so many slots. */
export async function cutTokens(
  kernels: CacheKernels,
  kvHeads: number,
  pieces: readonly TokenPiece[],
  { from, end, capacity }: CutTokens,
): Promise<DeviceTokens> {
  const positions = new Int32Array(capacity);
  let joined: LayerBuffers | undefined;
  for (const [index, piece] of covering(pieces, from, end).entries()) {
    const { source } = piece;
    const count = piece.end - piece.from;
    const first = piece.from - source.from;
    positions.set(source.positions.subarray(first, first + count), piece.from - from);
    // The last one brings the spare slots along; what lies in them means nothing.
    const spare = piece.end === end ? capacity - (end - from) : 0;
    const slots = new Int32Array(kvHeads * (count + spare));
    for (let slot = 0; slot < slots.length; slot++) {
      const token = slot % (count + spare);
      slots[slot] = first + Math.min(token, count - 1);
    }
    const cut = await kernels.gather(source.buffers, slots);
    if (index === 0 || joined === undefined) {
      joined = cut;
      continue;
    }
    const before: LayerBuffers = joined;
    try {
      joined = await kernels.joined(before, cut);
    } finally {
      freeBuffers(before);
      freeBuffers(cut);
    }
  }
  if (!joined) throw new RangeError("Cannot copy no tokens of a sliding layer");
  return { from, capacity, buffers: joined, positions, users: 1 };
}

/** The same tokens with their keys moved on by a distance, one user's. */
export async function shiftedTokens(
  kernels: CacheKernels,
  kvHeads: number,
  { from, capacity, buffers, positions }: DeviceTokens,
  { distance, frequencies }: { readonly distance: number; readonly frequencies: Float32Array },
): Promise<DeviceTokens> {
  const moved = positions.map((position) => position + distance);
  const each = <T>(one: T) => Array.from({ length: kvHeads }, () => one);
  const { cos, sin } = angleTables(each(positions), { frequencies, to: each(moved) });
  const keys = await kernels.rerotated(buffers.keys, cos, sin);
  try {
    const values = await kernels.copied(buffers.values);
    return { from, capacity, buffers: { keys, values }, positions: moved, users: 1 };
  } catch (error) {
    keys[Symbol.dispose]();
    throw error;
  }
}

function freeBuffers({ keys, values }: LayerBuffers): void {
  keys[Symbol.dispose]();
  values[Symbol.dispose]();
}
