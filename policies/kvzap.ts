import { sharedByBest } from "./_best_of_heads.ts";
import { fileFitted } from "./_file_fitted.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import {
  type Dense,
  type ModelFile,
  OptionError,
  type ScorerPolicy,
  type SurrogateLayer,
  withKernel,
} from "./policy.ts";

/** Last tokens that the paper keeps. */
const WINDOW = 128;

/** Of a budget's tokens, each so many are the last ones at most: a small budget is for what was judged best. */
const PART_OF_BUDGET = 8;

/** What the registry says about {@linkcode kvZap}. */
export const about = {
  name: "kvzap",
  summary: "Small networks predict, as tokens are read, what kvzip_plus would find.",
  paper: "https://arxiv.org/abs/2601.07891",
  options: {
    surrogate: {
      kind: "model_file",
      about:
        "file of networks, made by `kvjudge train kvzap`; when absent that which comes with the " +
        "project for the model, or else every token scores 0",
    },
    threshold: {
      kind: "number",
      min: -1000,
      about:
        "predicted score, the logarithm of a share, below which a token is dropped though the " +
        "budget has room; when absent the budget is used up",
    },
    window: {
      kind: "integer",
      min: 0,
      about:
        `last tokens that are always kept; when absent ${WINDOW}, and without a threshold at most an ` +
        "eighth of what the budget keeps",
    },
    layerwise: {
      kind: "flag",
      default: false,
      about: "whether each layer keeps the same number of tokens, which its heads share",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode kvZap}. */
export type KvZapOptions = OptionsOf<typeof about>;

const NEEDS = { policy: about.name, make: "kvjudge train kvzap" };

/**
 * KVzap: what `kvzip_plus` finds by making the model repeat a text is predicted while the text is read, by one
 * small network for each layer, from what the layer's attention reads for a token: linear, or of two layers
 * with GELU between them. The score is the logarithm of the share that KVzip+ would give. It costs no second
 * reading, and serves while an answer is written too: `while_decoding(kvzap)`.
 *
 * With a `threshold`, tokens that score less are dropped outside the last `window` tokens, whatever there is room
 * for: texts that repeat themselves then keep fewer. The budget stays the most that is kept; `-b 100%` lets the
 * threshold alone decide. Without one the best of all heads and layers stay, as many as the budget says.
 *
 * `kvjudge train kvzap` fits linear networks to KVzip+ on texts of yours. Weights of kvpress' `KVzapModel` can
 * be used as they are: `layers.L.weight` and `layers.L.bias`, or `layers.L.0.…` and `layers.L.2.…`.
 *
 * Differs from the paper: a budget bounds what a threshold leaves, and where it alone decides, an eighth of it is
 * the most that goes to the last tokens; while an answer is written tokens are judged
 * every few steps (with `every=1` at each), and are read once more for it; a KV head keeps at least its best
 * token.
 *
 * @throws {OptionError} If an option is unknown or out of range. When a prompt is read: if the file was made for
 * another model or policy, or holds other networks.
 * @throws {EvidenceError} When a prompt is read: if the networks do not fit the model.
 *
 * @example
 * ```ts
 * import { kvZap } from "./kvzap.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const { evidence, protect, threshold } = kvZap({ threshold: -6, window: 64 });
 * assertEquals([evidence.kind, protect, threshold], ["predicted", { recent: 64 }, -6]);
 * ```
 */
export function kvZap(options: KvZapOptions = {}): ScorerPolicy {
  return fileFitted(about, options, {
    needs: NEEDS,
    option: "surrogate",
    source: ({ surrogate }) => surrogate,
    instead: "every token scores 0",
    parts: ({ threshold, window, layerwise }, file) => ({
      evidence: file ? { kind: "predicted", surrogate: networksOf(file) } : { kind: "predicted" },
      protect: window === undefined && threshold === undefined
        ? (keep) => ({ recent: Math.min(WINDOW, Math.floor(keep / PART_OF_BUDGET)) })
        : { recent: window ?? WINDOW },
      ...(threshold === undefined ? {} : { threshold }),
      allocateHeads: sharedByBest(() => 1),
      ...(layerwise ? {} : { acrossLayers: true }),
      score: withKernel((layer) => layer.groupAttention(), (layer) => layer.groupAttention()),
    }),
  });
}

/** Networks by the names that kvpress gives their tensors. */
function networksOf({ tensors }: ModelFile): readonly SurrogateLayer[] {
  const dense = (name: string): Dense | undefined => {
    const [weight, bias] = [tensors[`${name}.weight`], tensors[`${name}.bias`]];
    if (!weight || !bias) return undefined;
    const [out, width] = weight.shape;
    if (weight.shape.length === 2 && bias.data.length === out && width) {
      return { weight: weight.data, bias: bias.data };
    }
    throw refusal(`"${name}.weight" is [${weight.shape}] and its bias [${bias.shape}]`);
  };
  const networks: SurrogateLayer[] = [];
  for (let layer = 0;; layer++) {
    const [linear, inner, output] = ["", ".0", ".2"].map((part) => dense(`layers.${layer}${part}`));
    if (linear) networks.push({ output: linear });
    else if (inner && output) networks.push({ inner, output });
    else break;
  }
  if (networks.length > 0) return networks;
  throw refusal('it has neither "layers.0.weight" nor "layers.0.0.weight", with their biases');
}

function refusal(problem: string): OptionError {
  return new OptionError(
    `Cannot use the file of policy '${about.name}': ${problem}; make one with \`${NEEDS.make}\``,
  );
}

export default kvZap;
