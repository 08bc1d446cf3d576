import type { Evidence, MaybePromise, SurrogateLayer } from "../../policies/policy.ts";
import { globalLayers } from "../checkpoint/layer_kinds.ts";
import type { Engine } from "../engine/engine.ts";
import type { LayerInputs, PredictedScores } from "../engine/predicted_scores.ts";
import type { Rows } from "../engine/rows.ts";
import { EvidenceError } from "../errors.ts";

type Predicted = Extract<Evidence, { kind: "predicted" }>;

/** Scores that are predicted while tokens are read. */
export interface Predictions extends Disposable {
  /** Takes what layers' attention reads; absent where no evidence wants it. */
  readonly onInputs?: ((inputs: LayerInputs, tokens: number) => Promise<void>) | undefined;
  /** Scores of all that a global layer holds: see {@linkcode PredictedScores}. Without networks all are 0. */
  rows(
    evidence: Predicted,
    layer: number,
    lengths: readonly number[],
    earlier: Rows | undefined,
  ): MaybePromise<Rows>;
}

/** Begins to predict what some policies want. */
export function predictScores(
  evidence: readonly Evidence[],
  engine: Pick<Engine, "config" | "predicting" | "constantRows">,
): Predictions {
  const { hidden, kvHeads } = engine.config;
  const globals = globalLayers(engine.config).length;
  const wanted = evidence.flatMap((one) => one.kind === "predicted" ? [one] : []);
  const bySurrogate = new Map<Predicted["surrogate"], PredictedScores>();
  using opening = new DisposableStack();
  for (const { surrogate } of wanted) {
    if (!surrogate || bySurrogate.has(surrogate)) continue;
    checkSurrogate(surrogate, { globals, hidden, kvHeads });
    bySurrogate.set(surrogate, opening.use(engine.predicting(surrogate)));
  }
  const owned = opening.move();
  const onInputs = async (inputs: LayerInputs, tokens: number): Promise<void> => {
    for (const scores of bySurrogate.values()) await scores.add(inputs, tokens);
  };
  return {
    ...(bySurrogate.size > 0 ? { onInputs } : {}),
    rows: ({ surrogate }, layer, lengths, earlier) =>
      bySurrogate.get(surrogate)?.rows(layer, lengths, earlier) ?? engine.constantRows(0, lengths),
    [Symbol.dispose]: () => owned.dispose(),
  };
}

function checkSurrogate(
  surrogate: readonly SurrogateLayer[],
  { globals, hidden, kvHeads }: {
    readonly globals: number;
    readonly hidden: number;
    readonly kvHeads: number;
  },
): void {
  const fits = surrogate.length === globals && surrogate.every(({ inner, output }) => {
    const width = inner ? inner.bias.length : hidden;
    return (!inner || inner.weight.length === width * hidden) &&
      output.bias.length === kvHeads && output.weight.length === kvHeads * width;
  });
  if (fits) return;
  throw new EvidenceError(
    `Cannot predict scores: the networks must be ${globals}, one for each layer that can be evicted, from ` +
      `${hidden} numbers to ${kvHeads} scores; use networks that were trained for this model`,
  );
}
