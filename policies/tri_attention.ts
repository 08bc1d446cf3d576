import { headRows } from "./_head_rows.ts";
import { fileFitted } from "./_file_fitted.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { type BandQueries, bandScores, bandScoresKernel } from "./kernels/tri_attention.ts";
import { type LayerShape, type ModelFile, type ScorerPolicy, withKernel } from "./policy.ts";

/** What the registry says about {@linkcode triAttention}. */
export const about = {
  name: "tri_attention",
  summary: "Keeps what a model's queries, as they are on average, attend to at later positions.",
  paper: "https://arxiv.org/abs/2604.04921",
  options: {
    centres: {
      kind: "model_file",
      about:
        "file of the queries' centres, made by `kvjudge train tri-attention`; when absent that which " +
        "comes with the project for the model, or else keys are judged by the lengths of their pairs",
    },
    every: {
      kind: "integer",
      min: 1,
      default: 128,
      about: "tokens written between two evictions",
    },
    target: {
      kind: "integer",
      min: 1,
      about: "tokens per KV head that each eviction leaves; the budget when absent",
    },
    distance: {
      kind: "integer",
      min: 1,
      default: 65536,
      about: "tokens ahead, at most, that queries are looked at from: at 1, 2, 4 and so on",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode triAttention}. */
export type TriAttentionOptions = OptionsOf<typeof about>;

const NEEDS = { policy: about.name, make: "kvjudge train tri-attention" };

/**
 * TriAttention, for long reasoning: before they are rotated, a head's queries lie about a centre, whatever the
 * text and the position. So how much a key will be attended to from a distance follows from the centre: of each
 * frequency of RoPE, `|E q| · |k| · cos(ω · distance + φ)`, averaged over queries that come 1, 2, 4, … tokens
 * later; what a query has beside its centre adds `(E|q| − |E q|) · |k|`. Scores of a query head are normalised
 * over the tokens (their mean 0, their deviation 1), and a KV head's score is the largest of its group.
 *
 * It evicts while an answer is written, after every 128 tokens as the paper does; the queries of the text are
 * never needed. `kvjudge train tri-attention` makes the file of centres, once per model; it is refused for
 * another one. Files come with the project for SmolLM2-135M-Instruct and Gemma 3 270M. Where there is none, the lengths of a key's pairs are the score, and the session's notes
 * say so.
 *
 * Differs from the paper: a prompt is evicted like an answer, where its authors keep it whole unless told
 * otherwise; every KV head chooses for itself, one of the ways that their code offers.
 *
 * @throws {OptionError} If an option is unknown or out of range. When a prompt is read: if the file was made
 * for another model or policy, or does not fit it.
 *
 * @example
 * ```ts
 * import { triAttention } from "./tri_attention.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(triAttention({ target: 2048 }).phases, { decoding: { every: 128, target: 2048 } });
 * ```
 */
export function triAttention(options: TriAttentionOptions = {}): ScorerPolicy {
  return fileFitted(about, options, {
    needs: NEEDS,
    option: "centres",
    source: ({ centres }) => centres,
    instead: "keys are judged by the lengths of their pairs",
    parts: ({ every, target, distance }, file) => {
      const queries = file ? laterQueries(file, distance) : lengthsAlone;
      return {
        evidence: { kind: "none" },
        phases: { decoding: { every, ...(target === undefined ? {} : { target }) } },
        score: withKernel(
          async (layer) => bandScores(layer, await layer.keys(), queries(layer)),
          (layer) => bandScoresKernel(layer, queries),
        ),
      };
    },
  });
}

/** Queries of which nothing is known. */
function lengthsAlone({ heads, headDim }: LayerShape): ReturnType<BandQueries> {
  return {
    centres: new Float32Array(heads * headDim),
    beside: new Float32Array(heads * headDim / 2).fill(1),
  };
}

/** The queries that follow what a layer holds, averaged over distances. */
function laterQueries(file: ModelFile, distance: number): BandQueries {
  const { make } = NEEDS;
  const half = (size: number) => size / 2;
  const means = headRows(file, { name: "means", perQueryHead: true, width: (size) => size, make });
  const lengths = headRows(file, { name: "lengths", perQueryHead: true, width: half, make });
  const frequencies = headRows(file, { name: "frequencies", width: half, make });
  const ahead = Array.from({ length: Math.floor(Math.log2(distance)) + 1 }, (_, at) => 2 ** at);
  return (layer) => {
    const { heads, headDim, positions } = layer;
    const [mean, length] = [means(layer), lengths(layer)];
    const bands = frequencies({ ...layer, firstHead: 0, kvHeads: 1 });
    const next = positions.reduce((last, position) => Math.max(last, position), -1) + 1;
    const [cos, sin] = [Math.cos, Math.sin].map((of) =>
      Float64Array.from(
        bands,
        (frequency) =>
          ahead.reduce((sum, step) => sum + of((next + step) * frequency), 0) / ahead.length,
      )
    );
    const centres = new Float32Array(heads * headDim);
    const beside = new Float32Array(heads * bands.length);
    for (let head = 0; head < heads; head++) {
      for (let band = 0; band < bands.length; band++) {
        const [at, pair] = [head * headDim + band, head * headDim + band + bands.length];
        const [a, b] = [mean[at] ?? 0, mean[pair] ?? 0];
        const [c, s] = [cos?.[band] ?? 0, sin?.[band] ?? 0];
        centres[at] = a * c - b * s;
        centres[pair] = a * s + b * c;
        const row = head * bands.length + band;
        beside[row] = (length[row] ?? 0) - Math.hypot(a, b);
      }
    }
    return { centres, beside };
  };
}

export default triAttention;
