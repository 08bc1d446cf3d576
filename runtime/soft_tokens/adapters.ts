import {
  type AdapterShape,
  adapterTensors,
  type Projection,
  PROJECTIONS,
} from "../../kernels/adapters.ts";
import type { SoftAdapters } from "../../policies/policy.ts";
import type { ModelConfig } from "../checkpoint/checkpoint.ts";
import { readFloats, type SafetensorsHeader } from "../checkpoint/safetensors.ts";
import { CheckpointError } from "../errors.ts";

const PREFIX = "adapter.";
const NAME = /^adapter\.(\d+)\.(\w+)\.(a|b)$/;

/**
 * Reads the adapters that lie beside soft tokens in a safetensors file.
 *
 * @returns The adapters, or `undefined` if the file has none.
 * @throws {CheckpointError} If a tensor has a strange name, is no matrix or has another rank than the
 * others.
 */
export function readAdapters(path: string, header: SafetensorsHeader): SoftAdapters | undefined {
  const names = [...header.tensors.keys()].filter((name) => name.startsWith(PREFIX));
  let rank: number | undefined;
  const tensors: Record<string, Float32Array> = {};
  for (const name of names) {
    const { part } = parseAdapterName(name, path);
    const { shape, data } = readFloats(path, name, header);
    const own = part === "a" ? shape[1] : shape[0];
    rank ??= own;
    if (shape.length !== 2 || own !== rank || data.length === 0) {
      const expected = part === "a" ? `[inputs, ${rank}]` : `[${rank}, outputs]`;
      throw new CheckpointError(
        `Cannot use ${path}: its tensor "${name}" must be ${expected}, it is [${shape.join(", ")}]`,
      );
    }
    tensors[name] = data;
  }
  return rank === undefined ? undefined : { rank, tensors };
}

/**
 * Checks that adapters fit a model: each adapted projection has both tensors in every layer.
 *
 * @throws {CheckpointError} Naming the first tensor that is missing, unknown, of another shape or not
 * finite.
 */
export function adapterShape(
  { rank, tensors }: SoftAdapters,
  config: ModelConfig,
): AdapterShape {
  if (!Number.isInteger(rank) || rank < 1) {
    throw new CheckpointError(
      `Cannot use adapters of rank ${rank}: the rank must be an integer of at least 1`,
    );
  }
  if (Object.keys(tensors).length === 0) {
    throw new CheckpointError("Cannot use adapters without tensors: leave the adapters out");
  }
  const present = new Set(Object.keys(tensors).map((name) => parseAdapterName(name).projection));
  const shape = { rank, projections: PROJECTIONS.filter((projection) => present.has(projection)) };
  const expected = adapterTensors({ ...config, layers: { length: config.layers } }, shape);
  const known = new Set(expected.map(({ name }) => name));
  const unknown = Object.keys(tensors).find((name) => !known.has(name));
  if (unknown !== undefined) {
    throw new CheckpointError(
      `Cannot use adapters with a tensor "${unknown}": the model has ${config.layers} layers`,
    );
  }
  for (const { name, shape: [rows, columns] } of expected) {
    const tensor = tensors[name];
    if (!tensor) {
      throw new CheckpointError(`Cannot use adapters: their tensor "${name}" is missing`);
    }
    if (tensor.length !== rows * columns) {
      const given = name.endsWith(".a")
        ? `[${tensor.length / rank}, ${rank}]`
        : `[${rank}, ${tensor.length / rank}]`;
      throw new CheckpointError(
        `Cannot use adapters: for this model their tensor "${name}" must be [${rows}, ${columns}], ` +
          `it is ${given}; use adapters that were trained for this model`,
      );
    }
    if (!tensor.every(Number.isFinite)) {
      throw new CheckpointError(
        `Cannot use adapters: some numbers of their tensor "${name}" are not finite; train or fetch ` +
          "them again",
      );
    }
  }
  return shape;
}

/** What the name of an adapter tensor says. */
export interface AdapterName {
  readonly layer: number;
  readonly projection: Projection;
  readonly part: "a" | "b";
}

/**
 * Takes the name of an adapter tensor apart.
 *
 * @param source Where it stands, for the error.
 * @throws {CheckpointError} If it is none.
 */
export function parseAdapterName(name: string, source = "adapters"): AdapterName {
  const [, layer, word, part] = NAME.exec(name) ?? [];
  const projection = PROJECTIONS.find((one) => one === word);
  if (projection) return { layer: Number(layer), projection, part: part === "a" ? "a" : "b" };
  throw new CheckpointError(
    `Cannot use ${source}: a tensor named "${name}" is no adapter, which is ` +
      `"adapter.LAYER.PROJECTION.a" or ".b" with one of ${PROJECTIONS.join(", ")}`,
  );
}
