import type { RopeScaling, RopeSettings } from "./checkpoint.ts";
import { type Fields, fieldsOf, shown } from "./fields.ts";
import { isRecord } from "./read_json.ts";

/** What `config.json` says about rotary position embeddings. */
export interface StatedRope {
  readonly rope: RopeSettings;
  /** Tokens that the model handles with this scaling. */
  readonly context: number;
}

/**
 * Reads RoPE settings in the old form (`rope_theta`, `rope_scaling`) or in that of transformers 5
 * (`rope_parameters`).
 *
 * `max_position_embeddings` is the context before scaling with `linear` and `dynamic` (so the
 * model's own documentation has it), unless `original_max_position_embeddings` says otherwise;
 * with `llama3` it is the context after scaling.
 *
 * @throws {CheckpointError} If a setting is malformed or its kind is not supported.
 */
export function parseRope(path: string, config: Fields): StatedRope {
  const stated = config.count("max_position_embeddings");
  const rope = ropeFields(path, config);
  for (const fields of [config, rope]) {
    const part = fields.optional("partial_rotary_factor", fields.positive);
    if (part !== undefined && part !== 1) {
      config.refuse(
        `"partial_rotary_factor" is ${part}, and only whole heads (1) can be rotated`,
      );
    }
  }
  const theta = rope.optional("rope_theta", rope.positive) ?? config.positive("rope_theta");
  const type = rope.raw("rope_type") ?? rope.raw("type") ?? "default";
  switch (type) {
    case "default":
      return { rope: { theta, scaling: { kind: "none" } }, context: stated };
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
      return { rope: { theta, scaling }, context };
    }
    case "llama3":
      return {
        rope: {
          theta,
          scaling: {
            kind: "llama3",
            factor: rope.positive("factor"),
            lowFrequencyFactor: rope.positive("low_freq_factor"),
            highFrequencyFactor: rope.positive("high_freq_factor"),
            originalContext: rope.count("original_max_position_embeddings"),
          },
        },
        context: stated,
      };
  }
  return config.refuse(
    `RoPE scaling ${shown(type)} is not supported, ` +
      "only default, linear, dynamic and llama3",
  );
}

function ropeFields(path: string, config: Fields): Fields {
  const key = config.raw("rope_parameters") === undefined ? "rope_scaling" : "rope_parameters";
  const value = config.raw(key) ?? {};
  if (!isRecord(value)) return config.refuse(`"${key}" is not an object`);
  if (Object.values(value).some(isRecord)) {
    return config.refuse(`"${key}" differs between layers, which is not supported`);
  }
  return fieldsOf(path, value);
}
