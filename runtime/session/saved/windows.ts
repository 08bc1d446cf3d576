import { DEFAULT_SLACK } from "../../cache/windows.ts";
import type { ModelConfig } from "../../checkpoint/checkpoint.ts";
import { fail, same } from "./parts.ts";
import type { SavedCacheRecord } from "./record.ts";

/** Most tokens of a sliding layer that are saved: what it shows, and what can be dropped from its end. */
export function mostSaved(window: number): number {
  return window - 1 + DEFAULT_SLACK;
}

/** What a sliding layer shows of so many tokens that were saved of it; all of them in a global one. */
export function shownOf(
  lengths: readonly number[],
  window: number | null | undefined,
): readonly number[] {
  return typeof window === "number" ? lengths.map((one) => Math.min(one, window - 1)) : lengths;
}

/**
 * Refuses windows that are not those of the model, or do not hold what they must.
 *
 * @param lengths Tokens that were saved of each KV head, `[layer][KV head]`.
 * @param tokens All that were read, soft tokens that restore among them.
 */
export function checkWindowsOf(
  path: string,
  { windows = [] }: SavedCacheRecord,
  lengths: readonly (readonly number[])[],
  { layerKinds }: Pick<ModelConfig, "layerKinds">,
  tokens: number,
): void {
  const wanted = layerKinds.map(({ window }) => window ?? 0);
  const given = wanted.map((_, layer) => windows[layer] ?? 0);
  if (windows.length > wanted.length || !same(given, wanted)) {
    fail(path, "its layers do not slide as those of the model do");
  }
  for (const [layer, { window }] of layerKinds.entries()) {
    if (window === undefined) continue;
    const [saved = 0, ...others] = lengths[layer] ?? [];
    const whole = saved >= Math.min(window - 1, tokens) && saved <= mostSaved(window) &&
      saved <= tokens && others.every((one) => one === saved);
    if (!whole) fail(path, `it does not hold the window of its layer ${layer}`);
  }
}
