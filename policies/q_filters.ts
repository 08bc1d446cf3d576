import { headRows } from "./_head_rows.ts";
import { fileFitted } from "./_file_fitted.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { knorm } from "./knorm.ts";
import { type ModelFile, type Score, type ScorerPolicy, withKernel } from "./policy.ts";

/** What the registry says about {@linkcode qFilters}. */
export const about = {
  name: "q_filters",
  summary: "Keeps the keys that lie where the model's queries point, as measured once per model.",
  paper: "https://arxiv.org/abs/2503.02812",
  options: {
    filters: {
      kind: "model_file",
      about:
        "file of filters, made by `kvjudge train q-filters`; when absent that which comes with " +
        "the project for the model, or else keys are judged by their norms",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode qFilters}. */
export type QFiltersOptions = OptionsOf<typeof about>;

const NEEDS = { policy: about.name, make: "kvjudge train q-filters" };

/**
 * Q-Filters: the rotated queries of a head lie about one direction, whatever the text is: their first
 * right-singular vector, turned to where their mean lies. The score is the projection of a key on it, so
 * that no query is needed when a prompt is evicted. Files hold the opposite direction, as those of its authors
 * do, and the score is minus the product. A KV head's filter is the mean of those of its query heads.
 *
 * `kvjudge train q-filters` makes the file, once per model; it is refused for another one. Files come with the
 * project for SmolLM2-135M-Instruct and Gemma 3 270M. Where there is none, keys are judged by their norms
 * (`knorm`), which the paper starts from, and the session's notes say so.
 *
 * Differs from the paper: the vectors are those of all queries of the measured texts, where its authors draw
 * 3000 of them.
 *
 * @throws {OptionError} If an option is unknown or out of range. When a prompt is read: if the file was made
 * for another model or policy, or does not fit it.
 *
 * @example
 * ```ts
 * import { qFilters } from "./q_filters.ts";
 * import type { LayerView } from "./policy.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const filters = { kind: "q_filters", tensors: { filters: { shape: [1, 1, 2], data: Float32Array.of(-1, 0) } } };
 * const model = { fingerprint: "abc" } as Parameters<NonNullable<ReturnType<typeof qFilters>["forModel"]>>[0];
 * const fitted = await qFilters({ filters }).forModel?.(model);
 * const keys = () => Promise.resolve(new Float32Array([3, 4, 5, 0]));
 * const layer = { layer: 0, layers: 1, heads: 1, kvHeads: 1, firstHead: 0, headDim: 2, length: 2, keys };
 * assertEquals(await fitted?.score(layer as unknown as LayerView), new Float32Array([3, 5]));
 * ```
 */
export function qFilters(options: QFiltersOptions = {}): ScorerPolicy {
  const norms = knorm().score;
  return fileFitted(about, options, {
    needs: NEEDS,
    option: "filters",
    source: ({ filters }) => filters,
    instead: "keys are judged by their norms",
    parts: (_, file) => ({
      evidence: { kind: "none" },
      score: file ? projections(file) : withKernel((layer) => norms(layer), norms.kernel),
    }),
  });
}

/** Minus the products of keys and filters. */
function projections(file: ModelFile): Score {
  const rows = headRows(file, { name: "filters", width: (size) => size, make: NEEDS.make });
  return withKernel(async (layer) => {
    const { kvHeads, headDim, length } = layer;
    const filters = rows(layer);
    const keys = await layer.keys();
    const scores = new Float32Array(kvHeads * length);
    for (let token = 0; token < length; token++) {
      for (let head = 0; head < kvHeads; head++) {
        const start = (token * kvHeads + head) * headDim;
        let product = 0;
        for (let i = 0; i < headDim; i++) {
          product += (keys[start + i] ?? 0) * (filters[head * headDim + i] ?? 0);
        }
        scores[head * length + token] = -product;
      }
    }
    return scores;
  }, (layer) => {
    const { kvHeads, headDim } = layer;
    const filters = layer.given([kvHeads, headDim, 1], (shape) => rows(shape).slice());
    const products = layer.op("MatMul", [layer.keys(), filters]);
    return layer.op("Neg", [
      layer.op("Reshape", [products, layer.integers([kvHeads, -1])]),
    ]);
  });
}

export default qFilters;
