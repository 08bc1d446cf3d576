import { openRange } from "../../checkpoint/file_range.ts";
import { readSafetensors, type SafetensorsHeader } from "../../checkpoint/safetensors.ts";
import { SavedCacheError } from "../../errors.ts";
import { demand } from "../../schema.ts";
import type { SavedCacheInfo } from "./info.ts";
import type { CachePrecision } from "../../cache/narrow_rows.ts";
import { checkScales, DTYPES, precisionOf } from "./narrow.ts";
import { fail, type LayerSizes, same, shapeOf } from "./parts.ts";
import { shownOf } from "./windows.ts";
import { parseRecord, type SavedCacheRecord } from "./record.ts";

/** Marks a safetensors file as a saved cache. */
export const SAVED_CACHE_FORMAT = "kvjudge.saved_cache";

/** Version of files whose keys and values are 32-bit floats. */
export const FLOATS_VERSION = "1";

/** Version of files whose keys and values take fewer bits. */
export const NARROW_VERSION = "2";

/** A saved cache whose header and record are sound; its numbers were not read yet. */
export interface OpenedCache {
  readonly info: SavedCacheInfo;
  readonly header: SafetensorsHeader;
  /** Tokens of each KV head, `[layer][KV head]`, those before the window of a sliding layer too. */
  readonly lengths: readonly (readonly number[])[];
  readonly kvHeads: number;
  readonly headDim: number;
  /** The record as it is written, and the digest over it and all numbers. */
  readonly text: string;
  readonly sha256: string;
}

/**
 * Opens a saved cache: checks that its tensors are those of a cache, and reads its record.
 *
 * @throws {SavedCacheError} If it is no saved cache, or not sound.
 */
export function openSavedCache(path: string): OpenedCache {
  const header = readSafetensors(path);
  const { format, version, record: text = "", sha256 = "" } = header.metadata;
  if (format !== SAVED_CACHE_FORMAT) {
    throw new SavedCacheError(
      `Cannot load ${path}: it is no saved cache but another safetensors file; give one that ` +
        "session.save() wrote",
    );
  }
  if (version !== FLOATS_VERSION && version !== NARROW_VERSION) {
    fail(
      path,
      `it has version ${version} of the format, this kvjudge reads ${FLOATS_VERSION} and ` +
        NARROW_VERSION,
    );
  }
  const precision = precisionOf(path, header);
  if ((precision === "fp32") !== (version === FLOATS_VERSION)) {
    fail(path, `its keys are held in ${precision}, which files of version ${version} do not do`);
  }
  const record = demand(
    parseRecord(text),
    (problem) => fail(path, `its record is broken: ${problem}`),
  );
  const { lengths, kvHeads, headDim } = layersOf(path, header, record.windows, precision);
  const tokens = shapeOf(path, header, "ids", "I32", 1)[0] ?? 0;
  const { size } = Deno.statSync(path);
  return {
    info: {
      path,
      bytes: size,
      precision,
      tokens: tokens + record.pending.length,
      kept: lengths.map((ofLayer, layer) => shownOf(ofLayer, record.windows?.[layer])),
      record,
    },
    header,
    lengths,
    kvHeads,
    headDim,
    text,
    sha256,
  };
}

/** Sizes of the layers; every tensor is checked against them. */
function layersOf(
  path: string,
  header: SafetensorsHeader,
  windows: SavedCacheRecord["windows"],
  precision: CachePrecision,
) {
  const dtype = DTYPES[precision];
  const lengths: (readonly number[])[] = [];
  let [kvHeads, headDim] = [0, 0];
  let tensors = 1 + (header.tensors.has("logits") ? 1 : 0);
  while (header.tensors.has(`keys.${lengths.length}`)) {
    const layer = lengths.length;
    const ragged = header.tensors.has(`lengths.${layer}`);
    const found = ragged
      ? raggedLengths(path, header, layer, dtype)
      : uniformLengths(path, header, layer, dtype);
    const scaled = precision === "int8" ? checkScales(path, header, layer, found) : 0;
    if (layer === 0) [kvHeads, headDim] = [found.lengths.length, found.headDim];
    const fits = found.fits && found.lengths.length === kvHeads && found.headDim === headDim;
    const empty = found.lengths.some((length) => length < 1);
    if (!fits || (empty && windows?.[layer] !== 1)) {
      fail(path, `the sizes of its layer ${layer} do not fit together`);
    }
    lengths.push(found.lengths);
    tensors += (ragged ? 4 : 3) + scaled + (header.tensors.has(`received.${layer}`) ? 1 : 0) +
      (header.tensors.has(`tokens.${layer}`) ? 1 : 0);
  }
  if (lengths.length === 0 || header.tensors.size !== tensors) {
    fail(path, "it does not hold the layers of a cache and nothing else");
  }
  return { lengths, kvHeads, headDim };
}

function uniformLengths(
  path: string,
  header: SafetensorsHeader,
  layer: number,
  dtype: string,
): LayerSizes {
  const keys = shapeOf(path, header, `keys.${layer}`, dtype, 3);
  const values = shapeOf(path, header, `values.${layer}`, dtype, 3);
  const positions = shapeOf(path, header, `positions.${layer}`, "I32", 2);
  const [length = 0, kvHeads = 0, headDim = 0] = keys;
  return {
    lengths: new Array<number>(kvHeads).fill(length),
    headDim,
    fits: same(values, keys) && same(positions, [kvHeads, length]),
  };
}

function raggedLengths(
  path: string,
  header: SafetensorsHeader,
  layer: number,
  dtype: string,
): LayerSizes {
  const keys = shapeOf(path, header, `keys.${layer}`, dtype, 2);
  const values = shapeOf(path, header, `values.${layer}`, dtype, 2);
  const positions = shapeOf(path, header, `positions.${layer}`, "I32", 1);
  const [heads = 0] = shapeOf(path, header, `lengths.${layer}`, "I32", 1);
  using file = openRange(path);
  const space = new Int32Array(Math.min(heads, MAX_HEADS));
  const entry = header.tensors.get(`lengths.${layer}`);
  if (entry) file.read(new Uint8Array(space.buffer), entry.offset);
  const lengths = Array.from(space);
  const [entries = 0, headDim = 0] = keys;
  return {
    lengths,
    headDim,
    fits: same(values, keys) && same(positions, [entries]) &&
      lengths.reduce((sum, length) => sum + length, 0) === entries,
  };
}

/** More KV heads than any model has: a damaged file must not fill memory. */
const MAX_HEADS = 4096;
