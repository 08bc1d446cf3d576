import type { ModelConfig, RopeScaling } from "../checkpoint/checkpoint.ts";

/**
 * Rotary frequencies of a model's layers, `[headDim / 2]`.
 *
 * @param sequence Tokens of the whole sequence. Only dynamic scaling and LongRoPE look at it: every
 * chunk of a prompt must name the length of the whole prompt, or the result would depend on the chunks.
 * @param rope Which of the model's `ropes`. @default {0}
 */
export function rotaryFrequencies(
  { headDim, ropes }: Pick<ModelConfig, "headDim" | "ropes">,
  sequence: number,
  rope = 0,
): Float32Array {
  const settings = ropes[rope];
  if (!settings) throw new RangeError(`Cannot use RoPE ${rope} of ${ropes.length}`);
  const { theta, scaling } = settings;
  const base = theta * dynamicFactor(scaling, headDim, sequence);
  return Float32Array.from(
    { length: headDim / 2 },
    (_, index) => scaleFrequency(scaling, 1 / base ** ((2 * index) / headDim), index, sequence),
  );
}

/** Rotary frequencies of a layer of the model, as {@linkcode rotaryFrequencies}; all 0 where it rotates nothing. */
export function layerFrequencies(
  config: Pick<ModelConfig, "headDim" | "ropes" | "layerKinds">,
  layer: number,
  sequence: number,
): Float32Array {
  const { rope } = config.layerKinds[layer] ?? {};
  if (rope === undefined) return new Float32Array(config.headDim / 2);
  return rotaryFrequencies(config, sequence, rope);
}

/** Whether rotary frequencies depend on the length of the text. */
export function changeWithLength({ ropes }: Pick<ModelConfig, "ropes">): boolean {
  return ropes.some(({ scaling: { kind } }) => kind === "dynamic" || kind === "longrope");
}

// NTK-aware scaling: the base grows with the sequence once it is longer than the original context.
function dynamicFactor(scaling: RopeScaling, headDim: number, sequence: number): number {
  if (scaling.kind !== "dynamic" || sequence <= scaling.originalContext) return 1;
  const { factor, originalContext } = scaling;
  return ((factor * sequence) / originalContext - (factor - 1)) ** (headDim / (headDim - 2));
}

function scaleFrequency(
  scaling: RopeScaling,
  frequency: number,
  index: number,
  sequence: number,
): number {
  switch (scaling.kind) {
    case "none":
    case "dynamic":
      return frequency;
    case "linear":
      return frequency / scaling.factor;
    case "factors":
      return frequency / (scaling.factors[index] ?? 1);
    case "longrope": {
      const { shortFactors, longFactors, originalContext } = scaling;
      return frequency / ((sequence > originalContext ? longFactors : shortFactors)[index] ?? 1);
    }
    case "llama3": {
      const { factor, lowFrequencyFactor, highFrequencyFactor, originalContext } = scaling;
      const wavelength = (2 * Math.PI) / frequency;
      if (wavelength > originalContext / lowFrequencyFactor) return frequency / factor;
      if (wavelength < originalContext / highFrequencyFactor) return frequency;
      const smooth = (originalContext / wavelength - lowFrequencyFactor) /
        (highFrequencyFactor - lowFrequencyFactor);
      return ((1 - smooth) * frequency) / factor + smooth * frequency;
    }
  }
}
