import { CheckpointError } from "../errors.ts";
import type { ModelConfig, TensorLocation } from "./checkpoint.ts";
import type { FamilyTensor, ModelFamily, SizeName } from "./families/family.ts";
import { fusedMatrix, rowsOfLocation } from "./fused_tensors.ts";
import { biasName, layerOf, weightName } from "./tensor_names.ts";

/** A tensor that a model of a given config has, or may have. */
export interface TensorNeed {
  /** Hugging Face name. */
  readonly name: string;
  /** Outermost dimension first. */
  readonly shape: readonly number[];
  /** May be absent, but then in every layer. */
  readonly optional: boolean;
  /** The tensor of the family that it is, or whose bias it is. */
  readonly tensor: FamilyTensor;
  /** Its layer, if it is in one. */
  readonly layer?: number;
}

/**
 * Lists the tensors of a model, layer by layer.
 *
 * A generator, so that a damaged config with a billion layers costs nothing: the first missing
 * tensor ends it.
 */
function* neededTensors(family: ModelFamily, config: ModelConfig): Generator<TensorNeed> {
  const { embedding, finalNorm, output } = family;
  const sizes = sizesOf(config);
  for (const tensor of [embedding, finalNorm, ...(config.tied ? [] : [output])]) {
    yield* weightAndBias(tensor, sizes);
  }
  for (let layer = 0; layer < config.layers; layer++) {
    for (const tensor of Object.values(family.layer)) yield* weightAndBias(tensor, sizes, layer);
  }
}

function sizesOf(config: ModelConfig): Readonly<Record<SizeName, number>> {
  const { vocabulary, hidden, heads, kvHeads, headDim, intermediate } = config;
  const [queries, keys] = [heads * headDim, kvHeads * headDim];
  return { vocabulary, hidden, headDim, intermediate, queries, keys };
}

function* weightAndBias(
  tensor: FamilyTensor,
  sizes: Readonly<Record<SizeName, number>>,
  layer?: number,
): Generator<TensorNeed> {
  const name = weightName(tensor, layer);
  const shape = tensor.shape.map((size) => sizes[size]);
  const where = layer === undefined ? {} : { layer };
  yield { name, shape, optional: false, tensor, ...where };
  if (tensor.bias === undefined) return;
  const optional = tensor.bias === "optional";
  yield { name: biasName(name), shape: shape.slice(0, 1), optional, tensor, ...where };
}

/**
 * Picks the tensors that a model needs and checks them.
 *
 * @param path Checkpoint, for messages.
 * @param model What the model is.
 * @param found Tensors of the checkpoint by Hugging Face name. `locate` is asked only for those that
 * are needed, so that an exotic format of an unused tensor does no harm.
 * @throws {CheckpointError} If a tensor is missing, has another shape, or belongs to the model's
 * layers without being known.
 */
export function selectTensors<T extends { readonly shape: readonly number[] }>(
  path: string,
  { family, config }: { readonly family: ModelFamily; readonly config: ModelConfig },
  found: ReadonlyMap<string, T>,
  locate: (name: string, tensor: T, need: TensorNeed) => TensorLocation,
): ReadonlyMap<string, TensorLocation> {
  const selected = new Map<string, TensorLocation>();
  const fused = new Set<string>();
  const sizes = sizesOf(config);
  for (const need of neededTensors(family, config)) {
    const { name, shape, optional } = need;
    const matrix = fusedMatrix(family, need, found, (role) => sizes[family.layer[role].shape[0]]);
    if (matrix) {
      checkShape(path, matrix.name, matrix.tensor.shape, [matrix.rows, ...shape.slice(1)]);
      const stored = locate(matrix.name, matrix.tensor, need);
      const place = { name, from: matrix.from, rows: shape[0] ?? 1 };
      selected.set(name, rowsOfLocation(path, stored, place));
      fused.add(matrix.name);
      continue;
    }
    const tensor = found.get(name);
    if (!tensor) {
      if (optional && !found.has(inFirstLayer(name))) continue;
      throw new CheckpointError(
        `Cannot open ${path}: tensor "${name}" is missing; the checkpoint is incomplete or not a ` +
          `${family.name} model with ${config.layers} layers.`,
      );
    }
    if (optional && !found.has(inFirstLayer(name))) {
      throw new CheckpointError(
        `Cannot open ${path}: tensor "${name}" is there but "${inFirstLayer(name)}" is missing.`,
      );
    }
    checkShape(path, name, tensor.shape, shape);
    selected.set(name, locate(name, tensor, need));
  }
  const known = new Set([...selected.keys(), ...fused]);
  refuseUnknown(path, { family, config }, found.keys(), known);
  return selected;
}

function checkShape(
  path: string,
  name: string,
  found: readonly number[],
  wanted: readonly number[],
): void {
  if (found.length === wanted.length && found.every((size, i) => size === wanted[i])) return;
  throw new CheckpointError(
    `Cannot open ${path}: tensor "${name}" has shape [${found.join(", ")}], ` +
      `but the settings ask for [${wanted.join(", ")}].`,
  );
}

function inFirstLayer(name: string): string {
  return name.replace(/^model\.layers\.\d+\./, "model.layers.0.");
}

/** A tensor of a layer that the model would not use means another architecture: silent garbage. */
function refuseUnknown(
  path: string,
  { family, config }: { readonly family: ModelFamily; readonly config: ModelConfig },
  names: Iterable<string>,
  known: ReadonlySet<string>,
): void {
  const outputBias = biasName(weightName(family.output));
  for (const name of names) {
    if (known.has(name) || name.endsWith(".rotary_emb.inv_freq")) continue;
    const layer = layerOf(name);
    // Layers past the last one are extra heads for drafting.
    if (layer === undefined ? name !== outputBias : layer >= config.layers) continue;
    throw new CheckpointError(
      `Cannot open ${path}: tensor "${name}" is not part of a ${family.name} model, ` +
        "so its output would be wrong without it.",
    );
  }
}
