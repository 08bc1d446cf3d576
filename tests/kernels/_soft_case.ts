import { rotaryRows } from "../../kernels/rope.ts";
import type { SoftStepInputs } from "../../kernels/soft_kernel.ts";
import type { StepModel } from "../../kernels/step_model.ts";
import { openCheckpoint } from "../../runtime/checkpoint/open.ts";
import { rotaryFrequencies } from "../../runtime/rotary/frequencies.ts";
import type { Precision } from "../../runtime/weights/precisions.ts";
import { stepModel } from "../../runtime/weights/step_model.ts";
import { noise } from "../_close.ts";
import { openGolden } from "../runtime/_golden_file.ts";

/** A described model and the folder of its converted weights. */
export interface DescribedModel extends AsyncDisposable {
  readonly model: StepModel;
  /** One for each of the model's rotary tables. */
  readonly frequencies: readonly Float32Array[];
}

/** Describes a checkpoint to the kernels. */
export async function describe(
  path: string,
  precision: Precision = "fp32",
): Promise<DescribedModel> {
  const home = await Deno.makeTempDir();
  const checkpoint = await openCheckpoint(path, { home });
  return {
    model: await stepModel(checkpoint, { precision, home }),
    frequencies: checkpoint.config.ropes.map((_, rope) =>
      rotaryFrequencies(checkpoint.config, 0, rope)
    ),
    [Symbol.asyncDispose]: () => Deno.remove(home, { recursive: true }),
  };
}

/** A golden training step of a tiny checkpoint. */
export interface GoldenStep {
  readonly tokens: number;
  readonly inputs: SoftStepInputs;
  readonly loss: number;
  /** `[layers, heads, P]`. */
  readonly attention: Float32Array;
  readonly gradient: Float32Array;
}

/** Reads the golden training step of a tiny checkpoint. */
export function goldenStep(name: string, { model, frequencies }: DescribedModel): GoldenStep {
  const golden = openGolden(name);
  const embeddings = golden.floats("judge_q.soft");
  const tokens = embeddings.length / model.hidden;
  return {
    tokens,
    inputs: {
      embeddings,
      rotary: frequencies.map((ofRope) => rotaryRows(ofRope, golden.settings.tokens, tokens)),
      past: model.layers.map((_, layer) => ({
        keys: golden.floats(`k.${layer}`),
        values: golden.floats(`v.${layer}`),
      })),
      target: golden.floats("judge_q.attention_response"),
    },
    loss: golden.floats("judge_q.loss")[0] ?? NaN,
    attention: golden.floats("judge_q.attention_soft"),
    gradient: golden.floats("judge_q.gradient"),
  };
}

/** Length of the difference of two vectors, in lengths of the second. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return NaN;
  let [difference, length] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += ((actual[i] ?? NaN) - (expected[i] ?? NaN)) ** 2;
    length += (expected[i] ?? NaN) ** 2;
  }
  return Math.sqrt(difference / length);
}

/** A random training step of any model. */
export function randomStep(
  { model, frequencies }: DescribedModel,
  { tokens, past }: { readonly tokens: number; readonly past: number },
): SoftStepInputs {
  const { hidden, heads, kvHeads, headDim, layers } = model;
  const size = past * kvHeads * headDim;
  return {
    embeddings: noise(tokens * hidden, 1),
    rotary: frequencies.map((ofRope) => rotaryRows(ofRope, past, tokens)),
    past: layers.map((_, layer) => ({
      keys: noise(size, 2 + 2 * layer),
      values: noise(size, 3 + 2 * layer),
    })),
    target: noise(layers.length * heads * past, 99).map((value) => (1 + value) / past),
  };
}
