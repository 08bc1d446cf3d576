import type { RopeScaling, RopeSettings } from "./checkpoint.ts";
import type { ModelFamily } from "./families/family.ts";
import { type Fields, fieldsOf, shown } from "./fields.ts";
import { parseLongRope } from "./long_rope.ts";
import { isRecord } from "./read_json.ts";

/** What `config.json` says about rotary position embeddings. */
export interface StatedRopes {
  /** Those of all layers; or of the global layers, then of those that slide. */
  readonly ropes: readonly RopeSettings[];
  /** Tokens that the model handles with this scaling. */
  readonly context: number;
}

/** Settings of one kind of layer. */
interface KindOfRope {
  readonly fields: Fields;
  /** Setting beside them with the base, where they have none. */
  readonly theta: string;
}

/**
 * Reads RoPE settings in the old form (`rope_theta`, `rope_scaling`) or in that of transformers 5
 * (`rope_parameters`, for families whose sliding layers rotate otherwise also by kind of layer).
 *
 * `max_position_embeddings` is the context before scaling with `linear` and `dynamic` (so the
 * model's own documentation has it), unless `original_max_position_embeddings` or the family says
 * otherwise; with `llama3` and `longrope` it is the context after scaling.
 *
 * @throws {CheckpointError} If a setting is malformed or its kind is not supported.
 */
export function parseRopes(
  path: string,
  config: Fields,
  { localRope, contextIsScaled = false }: Pick<
    ModelFamily["huggingFace"],
    "localRope" | "contextIsScaled"
  >,
): StatedRopes {
  const stated = config.count("max_position_embeddings");
  const kinds = kindsOfRope(path, config, localRope);
  const scalings = kinds.map(({ fields }) => parseScaling(config, fields, stated));
  const ropes = kinds.map(({ fields, theta }, kind) => ({
    theta: fields.optional("rope_theta", fields.positive) ?? config.positive(theta),
    scaling: scalings[kind]?.scaling ?? NONE,
  }));
  const stretched = scalings[0]?.context ?? stated;
  return { ropes, context: contextIsScaled ? stated : stretched };
}

const NONE: RopeScaling = { kind: "none" };

function kindsOfRope(
  path: string,
  config: Fields,
  localRope: string | undefined,
): readonly KindOfRope[] {
  const key = config.raw("rope_parameters") === undefined ? "rope_scaling" : "rope_parameters";
  const value = config.raw(key) ?? {};
  if (!isRecord(value)) return config.refuse(`"${key}" is not an object`);
  const kind = (settings: unknown, theta: string): KindOfRope =>
    isRecord(settings)
      ? { fields: fieldsOf(path, settings), theta }
      : config.refuse(`"${key}" says nothing of some kind of layer`);
  const byKind = Object.values(value).some(isRecord);
  if (localRope === undefined) {
    if (byKind) config.refuse(`"${key}" differs between layers, which is not supported`);
    return [kind(value, "rope_theta")];
  }
  const [full, local] = byKind ? [value.full_attention, value.sliding_attention] : [value, {}];
  return [kind(full, "rope_theta"), kind(local, localRope)];
}

function parseScaling(
  config: Fields,
  rope: Fields,
  stated: number,
): { readonly scaling: RopeScaling; readonly context: number } {
  for (const fields of [config, rope]) {
    const part = fields.optional("partial_rotary_factor", fields.positive);
    if (part !== undefined && part !== 1) {
      config.refuse(
        `"partial_rotary_factor" is ${part}, and only whole heads (1) can be rotated`,
      );
    }
  }
  const type = rope.raw("rope_type") ?? rope.raw("type") ?? "default";
  switch (type) {
    case "default":
      return { scaling: NONE, context: stated };
    case "linear":
    case "dynamic": {
      const factor = rope.positive("factor");
      if (factor < 1) rope.refuse(`"factor" is ${factor} but must be at least 1`);
      const original = rope.optional("original_max_position_embeddings", rope.count) ?? stated;
      const context = original < stated ? stated : Math.floor(stated * factor);
      // As in transformers, dynamic scaling starts beyond max_position_embeddings.
      const scaling: RopeScaling = type === "linear"
        ? { kind: "linear", factor }
        : { kind: "dynamic", factor, originalContext: stated };
      return { scaling, context };
    }
    case "llama3":
      return {
        scaling: {
          kind: "llama3",
          factor: rope.positive("factor"),
          lowFrequencyFactor: rope.positive("low_freq_factor"),
          highFrequencyFactor: rope.positive("high_freq_factor"),
          originalContext: rope.count("original_max_position_embeddings"),
        },
        context: stated,
      };
    case "su":
    case "longrope":
      return { scaling: parseLongRope(config, rope, stated), context: stated };
  }
  return config.refuse(
    `RoPE scaling ${shown(type)} is not supported, ` +
      "only default, linear, dynamic, llama3 and longrope",
  );
}
