import * as v from "npm:valibot@1.5.0";
import { CheckpointError } from "../errors.ts";
import { checkRecord, demand } from "../schema.ts";
import type { Checkpoint, TensorLocation, TensorType } from "./checkpoint.ts";
import { parseConfig } from "./config.ts";
import type { FamilyTensor, ModelFamily } from "./families/family.ts";
import { fingerprintOf, type FingerprintOptions } from "./fingerprint.ts";
import { huggingFaceFamily } from "./find_family.ts";
import { selectTensors } from "./model_tensors.ts";
import { fileExists, readJson } from "./read_json.ts";
import { readSafetensors, type SafetensorsEntry } from "./safetensors_header.ts";
import { weightName } from "./tensor_names.ts";
import { readTokenizerSource } from "./tokenizer_source.ts";

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const CONFIG = "config.json";

/** How to open a Hugging Face folder. */
export interface SafetensorsOptions extends FingerprintOptions {
  /** Weights file in the folder. @default {`model.safetensors`, or the shards of its index} */
  readonly weights?: string;
  /** Families to choose from. @default {all that can be run} */
  readonly families?: readonly ModelFamily[];
}

type FoundTensor = SafetensorsEntry & { readonly file: string };

/**
 * Opens a Hugging Face folder: `config.json` with `model.safetensors`, or with shards and their
 * index. Files may be symbolic links, as in the Hugging Face cache. Weights are not read.
 *
 * @throws {CheckpointError} If a file is missing or damaged, the model is not supported, or a tensor
 * is missing or has the wrong shape or type.
 */
export function openSafetensors(folder: string, options: SafetensorsOptions = {}): Checkpoint {
  const configPath = `${folder}/${CONFIG}`;
  if (!fileExists(configPath)) {
    throw new CheckpointError(
      `Cannot open ${folder}: it has no ${CONFIG}; give the folder of a Hugging Face checkpoint, ` +
        "or the path of a .gguf file.",
    );
  }
  const settings = readJson(configPath);
  const generationPath = `${folder}/generation_config.json`;
  const found = new Map<string, FoundTensor>();
  const files = options.weights === undefined
    ? collectTensors(folder, found)
    : [addTensors(`${folder}/${options.weights}`, found)];
  const family = huggingFaceFamily(configPath, settings, options.families);
  const named = textTensors(family, found);
  const config = parseConfig(settings, {
    path: configPath,
    family,
    hasOutput: named.has(weightName(family.output)),
    ...(fileExists(generationPath) ? { generation: readJson(generationPath) } : {}),
  });
  const tensors = selectTensors(folder, { family, config }, named, (name, tensor, need) => ({
    name,
    type: weightType(folder, name, tensor.dtype),
    shape: tensor.shape,
    file: tensor.file,
    offset: tensor.offset,
    bytes: tensor.bytes,
    ...offsetOf(family, need.tensor),
  }));
  return {
    path: folder,
    config,
    family,
    tensors,
    tokenizer: readTokenizerSource(folder),
    fingerprint: fingerprintOf([configPath, ...files], options),
  };
}

/** Tensors by the names that they have in a checkpoint of text alone. */
function textTensors(
  { huggingFace: { multimodal } }: ModelFamily,
  found: ReadonlyMap<string, FoundTensor>,
): ReadonlyMap<string, FoundTensor> {
  if (!multimodal) return found;
  return new Map([...found].map(([name, tensor]) => {
    const prefix = multimodal.prefixes.find(([from]) => name.startsWith(from));
    return [prefix ? prefix[1] + name.slice(prefix[0].length) : name, tensor];
  }));
}

/** What a norm lacks in the file; norms are the vectors among a family's weights. */
function offsetOf(
  { huggingFace: { normOffset } }: ModelFamily,
  { shape }: FamilyTensor,
): Pick<TensorLocation, "offsetBy"> {
  return normOffset === undefined || shape.length > 1 ? {} : { offsetBy: normOffset };
}

/** Fills `into` and returns the real paths of the weight files, in order. */
function collectTensors(folder: string, into: Map<string, FoundTensor>): readonly string[] {
  if (fileExists(`${folder}/${SINGLE}`)) return [addTensors(`${folder}/${SINGLE}`, into)];
  const indexPath = `${folder}/${INDEX}`;
  if (!fileExists(indexPath)) {
    throw new CheckpointError(
      `Cannot open ${folder}: it has neither ${SINGLE} nor ${INDEX}; only safetensors weights ` +
        "are read, not pickled ones (.bin).",
    );
  }
  const { weight_map: shards } = demand(
    checkRecord(SHARDS, readJson(indexPath)),
    (problem) =>
      new CheckpointError(`Cannot read ${indexPath}: ${problem}; fetch the checkpoint again.`),
  );
  const files = [...new Set(Object.values(shards))].sort().map((shard) => {
    if (fileExists(`${folder}/${shard}`)) return addTensors(`${folder}/${shard}`, into);
    throw new CheckpointError(
      `Cannot open ${folder}: shard ${shard} of ${INDEX} is missing; fetch the checkpoint again.`,
    );
  });
  for (const [name, shard] of Object.entries(shards)) {
    if (into.has(name)) continue;
    throw new CheckpointError(
      `Cannot open ${folder}: ${INDEX} says that ${shard} holds tensor "${name}", but it does not.`,
    );
  }
  return files;
}

const SHARD = "the name of a .safetensors file in the same folder";

const SHARDS = v.object({
  /** Shard of each tensor. */
  weight_map: v.record(
    v.string(),
    v.pipe(v.string(SHARD), v.regex(/^[^/\\]+\.safetensors$/, SHARD)),
    "an object",
  ),
});

function addTensors(path: string, into: Map<string, FoundTensor>): string {
  const { tensors } = readSafetensors(path);
  const file = Deno.realPathSync(path);
  for (const [name, tensor] of tensors) {
    const other = into.get(name);
    if (other) {
      throw new CheckpointError(
        `Cannot open ${path}: tensor "${name}" is also in ${other.file}.`,
      );
    }
    into.set(name, { ...tensor, file });
  }
  return file;
}

function weightType(folder: string, name: string, dtype: string): TensorType {
  if (dtype === "F32" || dtype === "F16" || dtype === "BF16") return dtype;
  throw new CheckpointError(
    `Cannot open ${folder}: tensor "${name}" has type ${dtype}, ` +
      "and safetensors weights must be F32, F16 or BF16.",
  );
}
