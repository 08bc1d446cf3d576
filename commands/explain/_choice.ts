import type { ModelConfig } from "../../runtime/checkpoint/checkpoint.ts";
import { PromptError } from "../../runtime/errors.ts";
import type { Explanation } from "../_explanation.ts";

/** The layer and the KV head that are looked at; all where absent. */
export interface HeadChoice {
  readonly layer?: number | undefined;
  readonly head?: number | undefined;
}

/**
 * Checks a choice before the prompt is read for it.
 *
 * @throws {PromptError} If the model has no such layer or KV head.
 */
export function checkChoice(
  { layer, head }: HeadChoice,
  config: Pick<ModelConfig, "layers" | "kvHeads">,
): void {
  checkOne("layer", "layers", layer, config.layers);
  checkOne("head", "KV heads", head, config.kvHeads);
}

function checkOne(flag: string, what: string, value: number | undefined, count: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= 0 && value < count)) return;
  throw new PromptError(
    `Cannot show ${flag} ${value}: the model's ${what} are 0 to ${count - 1}; ` +
      `give --${flag} one of them, or leave it out for all`,
  );
}

/** An explanation of the chosen heads alone. */
export function chosen(explanation: Explanation, { layer, head }: HeadChoice): Explanation {
  return {
    ...explanation,
    layers: explanation.layers
      .filter((one) => layer === undefined || one.layer === layer)
      .map((one) => ({
        ...one,
        heads: one.heads.filter((_, at) => head === undefined || at === head),
      })),
  };
}

/** What is looked at, in words; nothing where it is everything. */
export function nameChoice({ layer, head }: HeadChoice): string[] {
  if (layer === undefined && head === undefined) return [];
  const layers = layer === undefined ? "every layer" : `layer ${layer}`;
  return [`looked at: ${layers}, ${head === undefined ? "every KV head" : `KV head ${head}`}`];
}

/** Shades of a share of heads: 0 is none of them, {@linkcode ALL} all of them, between are quarters. */
export function shade(votes: number, heads: number): number {
  if (votes <= 0) return 0;
  return votes >= heads ? ALL : Math.max(1, Math.ceil(4 * votes / heads));
}

/** The shade of what every head keeps. */
export const ALL = 5;
