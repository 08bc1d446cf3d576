import type { LayerKind } from "../../kernels/step_model.ts";
import type { ModelConfig } from "./checkpoint.ts";
import { type Fields, shown } from "./fields.ts";
import type { GgufFamily } from "./find_family.ts";
import { layerKindsOf } from "./layer_kinds.ts";

/**
 * Reads how each layer sees the text, as GGUF has it.
 *
 * @throws {CheckpointError} If a setting is malformed.
 */
export function parseGgufLayerKinds(
  fields: Fields,
  { gguf }: GgufFamily,
  { layers, context }: Pick<ModelConfig, "layers" | "context">,
): readonly LayerKind[] {
  const { architecture, unrotatedEvery, localTheta, zeroIsNoWindow = false } = gguf;
  const key = `${architecture}.attention.sliding_window`;
  const none = zeroIsNoWindow && fields.raw(key) === 0;
  return layerKindsOf({
    context,
    window: none ? undefined : fields.optional(key, fields.count),
    slides: sliding(fields, gguf, layers),
    localRope: localTheta !== undefined,
    ...(unrotatedEvery === undefined ? {} : {
      rotates: Array.from({ length: layers }, (_, layer) => (layer + 1) % unrotatedEvery !== 0),
    }),
  });
}

function sliding(
  fields: Fields,
  { architecture, globalEvery }: GgufFamily["gguf"],
  layers: number,
): readonly boolean[] {
  const key = `${architecture}.attention.sliding_window_pattern`;
  const pattern = fields.raw(key);
  if (Array.isArray(pattern)) {
    const flags: readonly unknown[] = pattern;
    const known = flags.filter((flag): flag is boolean => typeof flag === "boolean");
    if (known.length === layers && flags.length === layers) return known;
    return fields.refuse(
      `"${key}" is ${shown(pattern)} but must say of ${layers} layers true or false`,
    );
  }
  const every = pattern === undefined ? globalEvery : fields.count(key);
  return Array.from(
    { length: layers },
    (_, layer) => every === undefined || (layer + 1) % every !== 0,
  );
}
