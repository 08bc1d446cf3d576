import { TrainingError } from "../errors.ts";

/** Arrays of numbers by name: parameters, or gradients of the same names and lengths. */
export type NamedTensors = Readonly<Record<string, Float32Array>>;

/** Options of {@linkcode createAdam}. */
export interface AdamOptions {
  /** Decay of the mean of gradients. @default {0.9} */
  readonly beta1?: number;
  /** Decay of the mean of squared gradients. @default {0.999} */
  readonly beta2?: number;
  /** Keeps the division from blowing up where gradients are tiny. @default {1e-8} */
  readonly epsilon?: number;
  /** Used when {@linkcode Adam.step} is given no rate. @default {0.001} */
  readonly rate?: number;
}

/** All that Adam remembers. */
export interface AdamState {
  /** Steps taken. */
  readonly step: number;
  /** Mean of gradients, by name. */
  readonly first: NamedTensors;
  /** Mean of squared gradients, by name. */
  readonly second: NamedTensors;
}

/** An optimiser and its memory. */
export interface Adam {
  /** Steps taken. */
  readonly steps: number;
  /**
   * Changes the parameters in place. A parameter without a gradient stays as it is.
   *
   * @param rate Learning rate of this step.
   * @throws {TrainingError} If a gradient belongs to no parameter, has another length, or holds a
   * number that is not finite. Nothing is changed then.
   */
  step(parameters: NamedTensors, gradients: NamedTensors, rate?: number): void;
  /** A copy of all that is remembered. */
  exportState(): AdamState;
  /**
   * Goes on from an exported state: the steps that follow give the same bits.
   *
   * @throws {TrainingError} If the state is inconsistent.
   */
  importState(state: AdamState): void;
}

/**
 * Makes an Adam optimiser (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980) with bias correction
 * and without weight decay. Its memory is `float32`, its arithmetic `float64`.
 *
 * @throws {TrainingError} If an option is out of range.
 *
 * @example
 * ```ts
 * import { createAdam } from "./adam.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const parameters = { x: Float32Array.of(1) };
 * const adam = createAdam({ rate: 0.5 });
 * adam.step(parameters, { x: Float32Array.of(3) });
 * assertEquals(parameters.x[0]?.toFixed(3), "0.500");
 * ```
 */
export function createAdam(
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, rate: usual = 0.001 }: AdamOptions = {},
): Adam {
  demand("beta1", beta1, "from 0 to below 1", beta1 >= 0 && beta1 < 1);
  demand("beta2", beta2, "from 0 to below 1", beta2 >= 0 && beta2 < 1);
  demand("epsilon", epsilon, "above 0", epsilon > 0 && Number.isFinite(epsilon));
  let steps = 0;
  let first = new Map<string, Float32Array>();
  let second = new Map<string, Float32Array>();
  return {
    get steps() {
      return steps;
    },
    step(parameters, gradients, rate = usual) {
      demand("rate", rate, "a finite number from 0", rate >= 0 && Number.isFinite(rate));
      for (const [name, gradient] of Object.entries(gradients)) {
        checkGradient(name, gradient, parameters[name], first.get(name));
      }
      steps++;
      const mean = 1 - beta1 ** steps;
      const spread = Math.sqrt(1 - beta2 ** steps);
      for (const [name, gradient] of Object.entries(gradients)) {
        const values = parameters[name];
        if (!values) continue;
        const m = memory(first, name, values.length);
        const v = memory(second, name, values.length);
        for (let i = 0; i < values.length; i++) {
          const g = gradient[i] ?? 0;
          m[i] = beta1 * (m[i] ?? 0) + (1 - beta1) * g;
          v[i] = beta2 * (v[i] ?? 0) + (1 - beta2) * g * g;
          const size = Math.sqrt(v[i] ?? 0) / spread + epsilon;
          values[i] = (values[i] ?? 0) - rate * ((m[i] ?? 0) / mean) / size;
        }
      }
    },
    exportState: () => ({ step: steps, first: copied(first), second: copied(second) }),
    importState(state) {
      checkState(state);
      steps = state.step;
      first = new Map(Object.entries(state.first).map(([name, data]) => [name, data.slice()]));
      second = new Map(Object.entries(state.second).map(([name, data]) => [name, data.slice()]));
    },
  };
}

function demand(name: string, value: number, bound: string, holds: boolean): void {
  if (!holds) throw new TrainingError(`Cannot train: ${name} must be ${bound}, got ${value}`);
}

function checkGradient(
  name: string,
  gradient: Float32Array,
  parameter: Float32Array | undefined,
  remembered: Float32Array | undefined,
): void {
  const refuse = (problem: string) => {
    throw new TrainingError(`Cannot take an optimiser step: ${problem}`);
  };
  if (!parameter) return refuse(`there is no parameter "${name}" for its gradient`);
  const { length } = gradient;
  if (length !== parameter.length) {
    refuse(`"${name}" has ${parameter.length} numbers and its gradient ${length}`);
  }
  if (remembered && length !== remembered.length) {
    refuse(`"${name}" had ${remembered.length} numbers before and has ${length} now`);
  }
  const bad = gradient.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    refuse(`the gradient of "${name}" is ${gradient[bad]} at ${bad}; lower the learning rate`);
  }
}

function checkState({ step, first, second }: AdamState): void {
  const names = Object.keys(first);
  const fits = Number.isInteger(step) && step >= 0 &&
    names.length === Object.keys(second).length &&
    names.every((name) => first[name]?.length === second[name]?.length);
  if (fits) return;
  throw new TrainingError(
    "Cannot resume the optimiser: its state is incomplete; start the training again",
  );
}

function memory(all: Map<string, Float32Array>, name: string, length: number): Float32Array {
  const known = all.get(name);
  if (known) return known;
  const fresh = new Float32Array(length);
  all.set(name, fresh);
  return fresh;
}

function copied(all: ReadonlyMap<string, Float32Array>): NamedTensors {
  return Object.fromEntries([...all].map(([name, data]) => [name, data.slice()]));
}
