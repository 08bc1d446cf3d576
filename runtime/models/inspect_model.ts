import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Checkpoint, ModelConfig } from "../checkpoint/checkpoint.ts";
import { globalLayers } from "../checkpoint/layer_kinds.ts";
import { readGgufHeader, startsAsGguf } from "../checkpoint/gguf_header.ts";
import { ggmlTypeName } from "../checkpoint/ggml_types.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import { fileExists, readJson } from "../checkpoint/read_json.ts";
import { readSafetensors } from "../checkpoint/safetensors.ts";
import { weightName } from "../checkpoint/tensor_names.ts";
import { BLOCK_LAYOUTS, elementsOf } from "../checkpoint/tensor_types.ts";
import { CheckpointError } from "../errors.ts";
import { createTokenizer } from "../tokenizer/create_tokenizer.ts";
import { type Holding, holdingOf } from "../weights/holding.ts";
import { settlePrecision } from "../weights/precision.ts";
import type { Precision } from "../weights/precisions.ts";

/** Tensors of one number format. */
export interface TypeSummary {
  readonly type: string;
  readonly tensors: number;
  readonly parameters: number;
  /** Unknown for formats that are not supported. */
  readonly bytes?: number;
  /** Whether weights of this format can be run. */
  readonly supported: boolean;
}

/** How the matrices of one format are held while the model runs. */
export interface HoldingSummary {
  readonly type: string;
  readonly held: Holding;
  readonly tensors: number;
}

/** What a checkpoint holds, and what of it would run. */
export interface ModelInspection {
  readonly source: string;
  readonly format: "gguf" | "safetensors";
  /** As the file states it, supported or not. */
  readonly architecture?: string;
  /** The model's own name. */
  readonly name?: string;
  /** Bytes of the weights' files. */
  readonly bytes: number;
  readonly tensors: number;
  readonly parameters: number;
  readonly types: readonly TypeSummary[];
  /** Whether the model can be loaded. */
  readonly runs: boolean;
  /** Why it cannot. */
  readonly reason?: string;
  readonly config?: ModelConfig;
  /** What `auto` chooses. */
  readonly precision?: Precision;
  readonly holdings?: readonly HoldingSummary[];
  /** Bytes of the cache that one token takes, in the layers that keep it. */
  readonly cacheBytesPerToken?: number;
  /** Bytes of what its sliding layers hold once their windows are full; 0 where none slides. */
  readonly windowBytes?: number;
  readonly text: {
    /** Whether texts can be given, not only token ids. */
    readonly runs: boolean;
    readonly reason?: string;
    readonly chatTemplate: boolean;
  };
}

/** Settings and weights as they lie in the files, whether they make a model or not. */
interface Listed {
  readonly format: "gguf" | "safetensors";
  readonly architecture?: string | undefined;
  readonly name?: string | undefined;
  readonly bytes: number;
  readonly tensors: readonly { readonly type: string; readonly shape: readonly number[] }[];
}

/**
 * Says what a GGUF file, a safetensors file or a Hugging Face folder holds, what of it would run, and
 * why the rest would not. Weights are not read.
 *
 * @throws {CheckpointError} If the files are missing or too damaged to be listed.
 *
 * @example
 * ```ts
 * import { inspectModel } from "./inspect_model.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = new URL("../../tests/fixtures/tiny-llama", import.meta.url).pathname;
 * const { architecture, runs, precision } = await inspectModel(folder);
 * assertEquals([architecture, runs, precision], ["LlamaForCausalLM", true, "int8"]);
 * ```
 */
export async function inspectModel(path: string): Promise<ModelInspection> {
  const { architecture, name, tensors, ...listed } = isGguf(path)
    ? listGguf(path)
    : listFolder(path);
  const facts = {
    source: path,
    ...listed,
    ...(architecture === undefined ? {} : { architecture }),
    ...(name === undefined ? {} : { name }),
    tensors: tensors.length,
    parameters: tensors.reduce((sum, { shape }) => sum + elementsOf(shape), 0),
    types: summariseTypes(tensors),
  };
  try {
    return { ...facts, runs: true, ...runningFacts(await openCheckpoint(path)) };
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    const text = { runs: false, reason: "the model does not run", chatTemplate: false };
    return { ...facts, runs: false, reason: error.message, text };
  }
}

function runningFacts(
  checkpoint: Checkpoint,
): Pick<
  ModelInspection,
  "config" | "precision" | "holdings" | "cacheBytesPerToken" | "windowBytes" | "text"
> {
  const { config, family, tensors } = checkpoint;
  const embedding = weightName(family.embedding);
  const precision = settlePrecision(checkpoint, "auto");
  const holdings = new Map<string, HoldingSummary>();
  for (const tensor of tensors.values()) {
    if (tensor.shape.length !== 2) continue;
    const held = holdingOf(tensor, precision, tensor.name === embedding);
    const key = `${tensor.type} ${held}`;
    const count = (holdings.get(key)?.tensors ?? 0) + 1;
    holdings.set(key, { type: tensor.type, held, tensors: count });
  }
  // Keys and values, in 32 bits.
  const perLayer = 2 * 4 * config.kvHeads * config.headDim;
  return {
    config,
    precision,
    holdings: [...holdings.values()],
    cacheBytesPerToken: globalLayers(config).length * perLayer,
    windowBytes: config.layerKinds.reduce(
      (sum, { window }) => sum + (window === undefined ? 0 : (window - 1) * perLayer),
      0,
    ),
    text: textFacts(checkpoint),
  };
}

function textFacts({ tokenizer }: Checkpoint): ModelInspection["text"] {
  try {
    return { runs: true, chatTemplate: createTokenizer(tokenizer).hasChatTemplate };
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    return { runs: false, reason: error.message, chatTemplate: false };
  }
}

function isGguf(path: string): boolean {
  if (path.endsWith(".gguf")) return true;
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true && startsAsGguf(path);
}

function listGguf(path: string): Listed {
  const { metadata, tensors, fileSize } = readGgufHeader(path);
  return {
    format: "gguf",
    architecture: textOf(metadata["general.architecture"]),
    name: textOf(metadata["general.name"]),
    bytes: fileSize,
    tensors: tensors.map(({ type, shape }) => ({ type: ggmlTypeName(type), shape })),
  };
}

function listFolder(path: string): Listed {
  const single = statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  const folder = single ? dirname(path) : path;
  const names = single ? [basename(path)] : weightFiles(folder);
  const tensors: Listed["tensors"][number][] = [];
  let bytes = 0;
  for (const name of names) {
    for (const { dtype, shape } of readSafetensors(join(folder, name)).tensors.values()) {
      tensors.push({ type: dtype, shape });
    }
    bytes += statSync(join(folder, name)).size;
  }
  const config = join(folder, "config.json");
  const settings = fileExists(config) ? readJson(config) : {};
  const { architectures, model_type: type, _name_or_path: name } = settings;
  const architecture = textOf(Array.isArray(architectures) ? architectures[0] : type);
  return { format: "safetensors", architecture, name: textOf(name), bytes, tensors };
}

/** The weights of a folder, as far as they are there. */
function weightFiles(folder: string): readonly string[] {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new CheckpointError(`Cannot inspect ${folder}: there is no such file or folder.`);
  }
  const files = readdirSync(folder).filter((name) => name.endsWith(".safetensors")).sort();
  if (files.includes("model.safetensors")) return ["model.safetensors"];
  const shards = files.filter((name) => /^model-\d+-of-\d+\./.test(name));
  if (shards.length > 0) return shards;
  throw new CheckpointError(
    `Cannot inspect ${folder}: it has no model.safetensors, whole or in shards; give a folder of a ` +
      "Hugging Face checkpoint, or a file.",
  );
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

const FOLDER_TYPES = new Set(["F32", "F16", "BF16"]);

function summariseTypes(tensors: Listed["tensors"]): TypeSummary[] {
  const types = new Map<string, TypeSummary>();
  for (const { type, shape } of tensors) {
    const layout = Object.entries(BLOCK_LAYOUTS).find(([name]) => name === type)?.[1];
    const known = types.get(type);
    const count = (known?.tensors ?? 0) + 1;
    const parameters = (known?.parameters ?? 0) + elementsOf(shape);
    const size = layout ? { bytes: parameters / layout.elements * layout.bytes } : {};
    const supported = layout !== undefined || FOLDER_TYPES.has(type);
    types.set(type, { type, tensors: count, parameters, ...size, supported });
  }
  return [...types.values()].sort((a, b) => b.parameters - a.parameters);
}
