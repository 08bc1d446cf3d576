import { CheckpointError } from "../errors.ts";
import type { Checkpoint, ModelConfig, TensorLocation, TensorType } from "./checkpoint.ts";
import type { FamilyTensor, ModelFamily } from "./families/family.ts";
import { fingerprintOf, type FingerprintOptions } from "./fingerprint.ts";
import { fileError } from "./file_range.ts";
import { type GgufFamily, ggufFamily } from "./find_family.ts";
import { ggmlTypeName } from "./ggml_types.ts";
import { parseGgufConfig } from "./gguf_config.ts";
import { type GgufTensor, readGgufHeader } from "./gguf_header.ts";
import { selectTensors } from "./model_tensors.ts";
import { readRows } from "./read_rows.ts";
import { huggingFaceNames, weightName } from "./tensor_names.ts";
import { BLOCK_LAYOUTS, bytesOf, elementsOf } from "./tensor_types.ts";

/** Tensors of divisors of rotary frequencies, by what they are. */
const ROPE_FACTORS = {
  all: "rope_freqs.weight",
  short: "rope_factors_short.weight",
  long: "rope_factors_long.weight",
} as const;
/** No head is larger; keeps a damaged file from being read whole here. */
const MAX_ROPE_FACTORS = 4096;

/** How to open a GGUF file. */
export interface GgufOptions extends FingerprintOptions {
  /** Families to choose from. @default {all that can be run} */
  readonly families?: readonly ModelFamily[];
}

/**
 * Opens a GGUF file. Weights are not read.
 *
 * Tensors appear under their Hugging Face names and shapes; query and key rows that are stored
 * interleaved say so in {@linkcode TensorLocation.interleavedHeads}.
 *
 * @throws {CheckpointError} If the file is missing, damaged or truncated, the model is not supported,
 * or a tensor is missing or has the wrong shape or type.
 */
export function openGguf(path: string, options: GgufOptions = {}): Checkpoint {
  const { metadata, tensors: listed, fileSize } = readGgufHeader(path);
  const file = realPath(path);
  const family = ggufFamily(path, metadata, options.families);
  const nameOf = huggingFaceNames(family);
  const found = new Map(listed.map((tensor) => [nameOf(tensor.name), tensor]));
  const locate = (name: string, tensor: GgufTensor) => place(path, file, fileSize, name, tensor);
  const factors = (name: string) => readRopeFactors(path, name, found.get(name), locate);
  const [all, short, long] = [ROPE_FACTORS.all, ROPE_FACTORS.short, ROPE_FACTORS.long].map(factors);
  const config = parseGgufConfig(path, metadata, family, {
    // A file without embeddings fails below with the tensor's name.
    vocabulary: found.get(weightName(family.embedding))?.shape[0] ?? 0,
    hasOutput: found.has(weightName(family.output)),
    ropeFactors: {
      ...(all ? { all } : {}),
      ...(short ? { short } : {}),
      ...(long ? { long } : {}),
    },
  });
  const tensors = selectTensors(path, { family, config }, found, (name, tensor, need) => {
    const heads = interleavedHeads(family, config, need.tensor);
    const location = locate(name, tensor);
    return heads === undefined ? location : { ...location, interleavedHeads: heads };
  });
  refuseOverlaps(path, tensors.values());
  return {
    path,
    config,
    family,
    tensors,
    tokenizer: { kind: "gguf", metadata },
    fingerprint: fingerprintOf([file], options),
  };
}

function readRopeFactors(
  path: string,
  name: string,
  tensor: GgufTensor | undefined,
  locate: (name: string, tensor: GgufTensor) => TensorLocation,
): readonly number[] | undefined {
  if (!tensor) return undefined;
  if (elementsOf(tensor.shape) > MAX_ROPE_FACTORS) {
    throw new CheckpointError(
      `Cannot open ${path}: tensor "${name}" has shape [${tensor.shape.join(", ")}], ` +
        `and no model has more than ${MAX_ROPE_FACTORS} factors.`,
    );
  }
  return [...readRows(locate(name, tensor))];
}

function place(
  path: string,
  file: string,
  fileSize: number,
  name: string,
  { name: ggufName, shape, type: typeNumber, offset }: GgufTensor,
): TensorLocation {
  const typeName = ggmlTypeName(typeNumber);
  if (!isTensorType(typeName)) {
    throw new CheckpointError(
      `Cannot open ${path}: tensor "${ggufName}" has type ${typeName}, and only ` +
        `${Object.keys(BLOCK_LAYOUTS).join(", ")} are supported; use a file quantised to ` +
        "Q4_K, Q8_0 or Q4_0.",
    );
  }
  const bytes = bytesOf(typeName, shape);
  if (bytes === undefined) {
    throw new CheckpointError(
      `Cannot open ${path}: the rows of tensor "${ggufName}" ([${shape.join(", ")}]) do not ` +
        `divide into whole blocks of ${typeName}.`,
    );
  }
  if (offset + bytes > fileSize) {
    throw new CheckpointError(
      `Cannot open ${path}: tensor "${ggufName}" ends at byte ${
        offset + bytes
      }, but the file has ` +
        `${fileSize} bytes; it is truncated, fetch it again.`,
    );
  }
  return { name, type: typeName, shape, file, offset, bytes };
}

function refuseOverlaps(path: string, tensors: Iterable<TensorLocation>): void {
  const sorted = [...tensors].sort((a, b) => a.offset - b.offset);
  for (const [index, { name, offset }] of sorted.entries()) {
    const before = sorted[index - 1];
    if (!before || before.offset + before.bytes <= offset) continue;
    throw new CheckpointError(
      `Cannot open ${path}: tensors "${before.name}" and "${name}" overlap; fetch the file again.`,
    );
  }
}

function isTensorType(name: string): name is TensorType {
  return Object.hasOwn(BLOCK_LAYOUTS, name);
}

function interleavedHeads(
  { gguf, layer }: GgufFamily,
  { heads, kvHeads }: ModelConfig,
  tensor: FamilyTensor,
): number | undefined {
  if (!gguf.interleaved) return undefined;
  if (tensor === layer.query) return heads;
  return tensor === layer.key ? kvHeads : undefined;
}

function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    throw fileError(path, error);
  }
}
