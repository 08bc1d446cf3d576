import type { LayerKind } from "../../kernels/step_model.ts";
import type { ModelConfig } from "./checkpoint.ts";
import type { WindowRule } from "./families/family.ts";
import type { Fields } from "./fields.ts";

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

/** Which layers slide, as `config.json` has it: `true` for those. */
function sliding(config: Fields, { kinds, from }: WindowRule, layers: number): readonly boolean[] {
  const listed = kinds === undefined ? undefined : config.raw(kinds);
  if (Array.isArray(listed)) return listed.map((kind) => kind === "sliding_attention");
  const first = from === undefined ? 0 : config.raw(from);
  const start = typeof first === "number" ? first : 0;
  return Array.from({ length: layers }, (_, layer) => layer >= start);
}

/**
 * Reads how each layer sees the text. A window that holds the whole context is none.
 *
 * @param rule The family's settings of windows, if its models may have any.
 * @throws {CheckpointError} If a setting is malformed.
 */
export function parseLayerKinds(
  config: Fields,
  rule: WindowRule | undefined,
  { layers, context }: Pick<ModelConfig, "layers" | "context">,
): readonly LayerKind[] {
  const window = rule && windowOf(config, rule);
  const slides = rule && window !== undefined && window < context
    ? sliding(config, rule, layers)
    : [];
  return Array.from(
    { length: layers },
    (_, layer) => slides[layer] && window !== undefined ? { window, rope: 0 } : { rope: 0 },
  );
}

function windowOf(config: Fields, { size, enabledBy }: WindowRule): number | undefined {
  if (enabledBy !== undefined && config.flag(enabledBy) !== true) return undefined;
  // Absent means the family's default, null means none.
  return config.isNull(size) ? undefined : config.count(size);
}
