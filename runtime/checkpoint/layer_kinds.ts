import type { LayerKind } from "../../kernels/step_model.ts";
import type { ModelConfig } from "./checkpoint.ts";
import type { ModelFamily, WindowRule } from "./families/family.ts";
import { type Fields, shown } from "./fields.ts";

/**
 * Numbers of the layers that see the whole text; in the others a window slides. Eviction is about
 * these alone.
 *
 * @example
 * ```ts
 * import { globalLayers } from "./layer_kinds.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(globalLayers({ layerKinds: [{ window: 512 }, {}, { window: 512 }, {}] }), [1, 3]);
 * ```
 */
export function globalLayers({ layerKinds }: Pick<ModelConfig, "layerKinds">): readonly number[] {
  return layerKinds.flatMap(({ window }, layer) => window === undefined ? [layer] : []);
}

/** No model has more; keeps a damaged file from claiming a list of any length. */
const MAX_LAYERS = 65_536;

/**
 * Reads the number of layers.
 *
 * @throws {CheckpointError} If it is missing, malformed or beyond that of any model.
 */
export function countLayers(fields: Fields, key: string): number {
  const layers = fields.count(key);
  if (layers <= MAX_LAYERS) return layers;
  return fields.refuse(`"${key}" is ${layers}, and no model has more than ${MAX_LAYERS} layers`);
}

/** What {@linkcode layerKindsOf} makes kinds of. */
export interface StatedLayers {
  readonly context: number;
  /** Tokens of the window of layers that slide, if any do. */
  readonly window?: number | undefined;
  /** Of each layer, whether it slides. */
  readonly slides: readonly boolean[];
  /** Of each layer, whether queries and keys are rotated. @default {in all of them} */
  readonly rotates?: readonly boolean[];
  /** Whether layers that slide rotate by a RoPE of their own, the second. @default {false} */
  readonly localRope?: boolean;
}

/** The kind of each layer. A window that holds the whole context is none. */
export function layerKindsOf(
  { context, window, slides, rotates, localRope = false }: StatedLayers,
): readonly LayerKind[] {
  return slides.map((slide, layer) => ({
    ...(slide && window !== undefined && window < context ? { window } : {}),
    ...(rotates?.[layer] === false ? {} : { rope: slide && localRope ? 1 : 0 }),
  }));
}

/**
 * Reads how each layer sees the text, as `config.json` has it.
 *
 * @throws {CheckpointError} If a setting is malformed.
 */
export function parseLayerKinds(
  config: Fields,
  { window: rule, localRope, unrotated }: ModelFamily["huggingFace"],
  { layers, context }: Pick<ModelConfig, "layers" | "context">,
): readonly LayerKind[] {
  const rotates = unrotated === undefined ? undefined : rotatedLayers(config, unrotated, layers);
  return layerKindsOf({
    context,
    window: rule && windowOf(config, rule),
    slides: rule ? sliding(config, rule, rotates, layers) : new Array(layers).fill(false),
    ...(rotates ? { rotates } : {}),
    localRope: localRope !== undefined,
  });
}

function windowOf(config: Fields, { size, enabledBy }: WindowRule): number | undefined {
  if (enabledBy !== undefined && config.flag(enabledBy) !== true) return undefined;
  // Absent means the family's default, null means none.
  return config.isNull(size) ? undefined : config.optional(size, config.count);
}

const KINDS: ReadonlyMap<unknown, boolean> = new Map([
  ["sliding_attention", true],
  ["full_attention", false],
]);

function sliding(
  config: Fields,
  { kinds, from, globalEvery = [], unrotatedOnly = false }: WindowRule,
  rotates: readonly boolean[] | undefined,
  layers: number,
): readonly boolean[] {
  const listed = kinds === undefined ? undefined : config.raw(kinds);
  if (kinds !== undefined && listed !== undefined) return listedKinds(config, kinds, layers);
  const first = from === undefined ? 0 : config.raw(from);
  const start = typeof first === "number" ? first : 0;
  const every = globalEvery.map((key) => config.optional(key, config.count))
    .find((count) => count !== undefined);
  return Array.from(
    { length: layers },
    (_, layer) =>
      layer >= start && (every === undefined || (layer + 1) % every !== 0) &&
      (!unrotatedOnly || rotates?.[layer] === false),
  );
}

function listedKinds(config: Fields, key: string, layers: number): readonly boolean[] {
  const listed = config.raw(key);
  if (!Array.isArray(listed) || listed.length !== layers) {
    return config.refuse(`"${key}" is not a list of ${layers} kinds of layers`);
  }
  return listed.map((kind, layer) =>
    KINDS.get(kind) ?? config.refuse(
      `"${key}" has ${shown(kind)} for layer ${layer}, and only ${
        [...KINDS.keys()].join(" and ")
      } are supported`,
    )
  );
}

/** Of each layer, whether it is rotated. */
function rotatedLayers(
  config: Fields,
  { listed, every }: { readonly listed: string; readonly every: string },
  layers: number,
): readonly boolean[] {
  const list = config.raw(listed);
  if (list === undefined) {
    const interval = config.count(every);
    return Array.from({ length: layers }, (_, layer) => (layer + 1) % interval !== 0);
  }
  const flags: readonly unknown[] = Array.isArray(list) ? list : [];
  const known = flags.slice(0, layers).every((flag) => flag === 0 || flag === 1);
  if (flags.length < layers || !known) {
    config.refuse(`"${listed}" is not a list of ${layers} numbers, each 0 or 1`);
  }
  return flags.slice(0, layers).map((flag) => flag === 1);
}
