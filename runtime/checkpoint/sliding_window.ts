import type { WindowRule } from "./families/family.ts";
import type { Fields } from "./fields.ts";

/**
 * Refuses a model in which some layer sees only a part of its context.
 *
 * @throws {CheckpointError} If a layer has a window that is smaller than the context, or a setting is
 * malformed.
 */
export function refuseWindow(
  config: Fields,
  rule: WindowRule,
  { layers, context }: { readonly layers: number; readonly context: number },
): void {
  const { size, enabledBy } = rule;
  if (enabledBy !== undefined && config.flag(enabledBy) !== true) return;
  // Absent means the family's default, null means none.
  if (config.isNull(size)) return;
  const window = config.count(size);
  if (window >= context || !slidesSomewhere(config, rule, layers)) return;
  config.refuse(
    `its sliding window of ${window} tokens is smaller than its context of ${context}: ` +
      "every token would see only the window, which this runtime does not do; " +
      "use a checkpoint with full attention",
  );
}

function slidesSomewhere(config: Fields, { kinds, from }: WindowRule, layers: number): boolean {
  const listed = kinds === undefined ? undefined : config.raw(kinds);
  if (Array.isArray(listed)) return listed.includes("sliding_attention");
  const first = from === undefined ? 0 : config.raw(from);
  return typeof first !== "number" || first < layers;
}
