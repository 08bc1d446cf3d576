import type { Hash } from "node:crypto";
import {
  type CachePrecision,
  narrowed,
  type NarrowPrecision,
  narrowSizes,
  narrowSpace,
  releaseNarrow,
  widen,
} from "../../cache/narrow_rows.ts";
import type { RangeFile } from "../../checkpoint/file_range.ts";
import type { SafetensorsHeader, SafetensorsInput } from "../../checkpoint/safetensors.ts";
import { fail, type LayerSizes, readInto, same, shapeOf } from "./parts.ts";

/** Number formats of keys and values in a file. */
export const DTYPES: Readonly<Record<CachePrecision, string>> = {
  fp32: "F32",
  fp16: "F16",
  int8: "I8",
};

/** How a file holds keys and values, by its first. */
export function precisionOf(path: string, { tensors }: SafetensorsHeader): CachePrecision {
  const dtype = tensors.get("keys.0")?.dtype ?? "F32";
  for (const precision of ["fp32", "fp16", "int8"] as const) {
    if (DTYPES[precision] === dtype) return precision;
  }
  return fail(path, `its keys are ${dtype}, which no cache is held in`);
}

/** Name of the scales of a tensor. */
function scalesOf(name: string): string {
  return name.replace(".", "_scales.");
}

/**
 * Checks the scales of a layer's keys and values.
 *
 * @returns How many tensors they are.
 */
export function checkScales(
  path: string,
  header: SafetensorsHeader,
  layer: number,
  { lengths, headDim }: LayerSizes,
): number {
  const rows = lengths.reduce((sum, length) => sum + length, 0);
  const { groups } = narrowSizes("int8", headDim);
  for (const name of [`keys.${layer}`, `values.${layer}`]) {
    const shape = shapeOf(path, header, scalesOf(name), "BF16", 2);
    if (!same(shape, [rows, groups])) fail(path, `the scales of its layer ${layer} do not fit`);
  }
  return 2;
}

/**
 * Rounds the keys and values among the tensors of a cache.
 *
 * @param scope Owns the rounded ones.
 */
export function narrowTensors(
  tensors: Readonly<Record<string, SafetensorsInput>>,
  { headDim, precision, scope }: {
    readonly headDim: number;
    readonly precision: NarrowPrecision;
    readonly scope: DisposableStack;
  },
): Record<string, SafetensorsInput> {
  const all: Record<string, SafetensorsInput> = {};
  for (const [name, tensor] of Object.entries(tensors)) {
    const { shape, data } = tensor;
    if (!/^(keys|values)\./.test(name) || !(data instanceof Float32Array)) {
      all[name] = tensor;
      continue;
    }
    const narrow = narrowed(data, headDim, precision);
    scope.defer(() => releaseNarrow(narrow));
    const { numbers, scales } = narrow;
    all[name] = { shape, data: numbers };
    if (scales.length === 0) continue;
    const rows = data.length / headDim;
    all[scalesOf(name)] = { shape: [rows, scales.length / rows], data: scales };
  }
  return all;
}

/** Reads keys or values, adds them to a digest, and writes them out as 32-bit floats. */
export function readRowsInto(
  file: RangeFile,
  header: SafetensorsHeader,
  name: string,
  { into, headDim, precision, hash }: {
    readonly into: Float32Array;
    readonly headDim: number;
    readonly precision: CachePrecision;
    readonly hash: Hash;
  },
): void {
  if (precision === "fp32") {
    readInto(file, header, name, () => into, hash);
    return;
  }
  const rows = narrowSpace(precision, into.length / headDim, headDim);
  try {
    readInto(file, header, name, () => rows.numbers, hash);
    if (rows.scales.length > 0) readInto(file, header, scalesOf(name), () => rows.scales, hash);
    widen(rows, headDim, into);
  } finally {
    releaseNarrow(rows);
  }
}
