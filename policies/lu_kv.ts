import { sharedBySize } from "./_best_of_heads.ts";
import { expression } from "./_expression.ts";
import { shownOptions } from "./_file_fitted.ts";
import { dividedBy, type MeasuredShares, UNPROTECTED } from "./_measured_shares.ts";
import { modelFileFor, noFileNote, oncePerModel } from "./_model_file.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { evenInside, innerForModel, innerOption, wrapPolicy } from "./_wrap.ts";
import { type ModelFile, OptionError, type ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode luKv}. */
export const about = {
  name: "lu_kv",
  summary: "Wraps a policy: each KV head gets the budget that served it best when it was measured.",
  paper: "https://arxiv.org/abs/2602.08585",
  options: {
    inner: innerOption,
    curves: {
      kind: "model_file",
      about:
        "file of measured budgets, made by `kvjudge train lu-kv`; when absent that which comes " +
        "with the project for the model, or else each head gets the same",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode luKv}. */
export type LuKvOptions = OptionsOf<typeof about>;

const NEEDS = { policy: about.name, make: "kvjudge train lu-kv" };

/** Budgets are known for 1 to 99 % dropped. */
const PERCENTAGES = 99;

/**
 * LU-KV: how many tokens a head needs is a property of the model, and is measured once: how much of what later
 * answers attend to does it keep, if it keeps the best 1, 2, … 100 % by the inner policy's scores? A file holds
 * the division of a budget among all KV heads of all layers by which the least is lost, for every percentage;
 * between two of them it is interpolated. So the budget goes where the inner policy chooses well and where
 * it matters, at no cost while a prompt is read. What the inner policy protects, such as its window, is given
 * to each head first; shares are those of the rest. Of an inner policy that divides budgets itself its even-headed
 * one is taken.
 *
 * How much that is, with SnapKV on SmolLM2-135M-Instruct, in percent of what is measured, over ten copying tasks of
 * 459 to 1,129 tokens that the file was not made with:
 *
 * | budget                       | 5 % (seven tasks) | 10 % | 25 % | 50 % |
 * | ---------------------------- | ----------------- | ---- | ---- | ---- |
 * | the same for each head       | 46.3              | 57.0 | 70.5 | 84.1 |
 * | the file's                   | 46.8              | 59.6 | 75.0 | 90.4 |
 * | each task's own curves known | 49.5              | 62.7 | 79.3 | 92.8 |
 *
 * Twelve such answers, token by token: the divergence from the whole cache's prediction falls at 10, 25 and 50 % from
 * 2.65, 1.42 and 0.74 to 1.88, 0.32 and 0.01. `kvjudge eval hit_rate` cannot show that: it asks of each head for as
 * many of its best tokens as an even budget gives. `kvjudge train lu-kv` says what its budgets are worth on prompts
 * that were left out in turn (`kept_at_25` in the card).
 *
 * `kvjudge train lu-kv` makes the file, for a model and an inner policy; it is refused for another model.
 * Those that come with the project are in `policies/model_files/`.
 *
 * Differs from the paper: utility is the attention of the answer's queries times the length of what the value
 * adds to the layer's output, as a share of what the layer's heads add; curves are averaged over the measured
 * prompts before the budget is divided, where its authors average divisions; the total is the budget to the
 * token, where their code rounds layer by layer; what the inner policy protects is no part of the shares.
 *
 * @throws {OptionError} If an option is unknown or out of range, or the policy inside divides its budget
 * itself and has no even-headed one. When a prompt is read: if the file was made for another model or policy, or
 * does not fit it.
 *
 * @example
 * ```ts
 * import { luKv } from "./lu_kv.ts";
 * import { assertEquals } from "@std/assert";
 *
 * // Of two heads of 8 tokens the first drops 25 % and the second 75 % where 50 % are dropped in all.
 * const data = Float32Array.from({ length: 99 * 2 }, (_, at) => at % 2 === 0 ? 0.25 : 0.75);
 * const curves = { kind: "lu_kv", tensors: { dropped: { shape: [99, 1, 2], data } } };
 * const model = { fingerprint: "abc" } as Parameters<NonNullable<ReturnType<typeof luKv>["forModel"]>>[0];
 * const { allocateHeads } = await luKv({ curves }).forModel?.(model) ?? {};
 * const scores = [new Float32Array(8), new Float32Array(8)];
 * assertEquals(await allocateHeads?.({ scores, keep: 4 }), [6, 2]);
 * ```
 */
export function luKv(options: LuKvOptions = {}): ScorerPolicy {
  return wrapPolicy(about, evenInside(options), (inner, { settings, refuse }) => {
    const { curves } = settings;
    if (inner.allocateHeads) throw refuse("it divides its budget among the heads itself");
    if (inner.allocate) throw refuse("it divides its budget among the layers itself");
    const described = {
      options: shownOptions({ ...settings, inner: expression(inner) }, { curves }),
      acrossLayers: true,
    } as const;
    return {
      ...described,
      allocateHeads: sharedBySize((request) => dividedBy(undefined, request)),
      forModel: oncePerModel(async (model) => {
        const fitted = await innerForModel(inner, model);
        const file = await modelFileFor(curves, NEEDS, model);
        const measured = file && measuredShares(file);
        const notes = [fitted.note, noteOf(file, expression(inner))].filter((one) => one);
        return wrapPolicy(about, { ...options, inner: fitted }, () => ({
          ...described,
          ...(notes.length > 0 ? { note: notes.join("; ") } : {}),
          allocateHeads: sharedBySize((request) => dividedBy(measured, request)),
        }));
      }),
    };
  });
}

/** What is worth knowing about budgets that were not measured, or with another policy. */
function noteOf(file: ModelFile | undefined, inner: string): string | undefined {
  if (!file) return noFileNote(NEEDS, "each KV head gets the same");
  const measured = file.card?.inner;
  if (measured === undefined || measured === inner) return undefined;
  return `the budgets of its heads were measured with ${measured}, not with ${inner}`;
}

/** Reads what was measured; between two percentages it is interpolated. */
function measuredShares({ tensors: { dropped }, card }: ModelFile): MeasuredShares {
  const [percentages, layers = 0, kvHeads = 0] = dropped?.shape ?? [];
  if (!dropped || percentages !== PERCENTAGES || dropped.shape.length !== 3) {
    throw new OptionError(
      `Cannot use the file of policy '${about.name}': its tensor "dropped" must be [${PERCENTAGES}, layers, ` +
        `KV heads], it is ${dropped ? `[${dropped.shape.join(", ")}]` : "absent"}; make one with ` +
        `\`${NEEDS.make}\``,
    );
  }
  const { data } = dropped;
  const measured = layers * kvHeads;
  const at = (percent: number, head: number): number =>
    percent <= 0 ? 0 : percent > PERCENTAGES ? 1 : data[(percent - 1) * measured + head] ?? 0;
  const droppedOf = (head: number, share: number, heads: number): number => {
    if (heads !== measured) {
      throw new OptionError(
        `Cannot use the file of policy '${about.name}': it has budgets of ${layers} × ${kvHeads} KV heads, ` +
          `and the model evicts from ${heads}; make one with \`${NEEDS.make}\``,
      );
    }
    const below = Math.floor(100 * share);
    const part = 100 * share - below;
    return (1 - part) * at(below, head) + part * at(below + 1, head);
  };
  return { dropped: droppedOf, apart: card?.shares === UNPROTECTED };
}

export default luKv;
