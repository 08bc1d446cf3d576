import { pause } from "../runtime/engine/pause.ts";
import { SOFT_TOKENS_TENSOR } from "../runtime/soft_tokens/read.ts";
import { batchOf } from "./batches.ts";
import { TrainingError } from "./errors.ts";
import { addInto, clipByNorm } from "./optimiser/gradients.ts";
import { learningRate } from "./optimiser/learning_rate.ts";
import { createOptimisers } from "./optimisers.ts";
import { groupsOf, type TrainingSettings } from "./settings.ts";
import { stepsOf } from "./soft_token_settings.ts";
import type { PreparedExample, SoftStep } from "./soft_step.ts";
import type { Tensors } from "./trainable.ts";
import { validate, type Validation } from "./validation.ts";

/** Where a run stands between two steps; everything that the next step depends on. */
export interface Progress {
  /** Steps done. */
  readonly step: number;
  readonly tensors: Tensors;
  /** Adam's moments. */
  readonly first: Tensors;
  readonly second: Tensors;
  /** Smoothed loss, the lowest it was since it settled, and the loss of the first step. */
  readonly smoothed: number;
  readonly lowest: number;
  readonly lossStart: number;
}

/** What one step tells. */
export interface StepReport {
  /** Steps done, this one included. */
  readonly step: number;
  /** Steps of the whole run. */
  readonly steps: number;
  /** Mean loss of the step. */
  readonly loss: number;
  /** Learning rate of the step. */
  readonly rate: number;
  /** Norm of the gradient before clipping. */
  readonly gradientNorm: number;
  /** Examples per second so far. */
  readonly examplesPerSecond: number;
  /** Measured after this step, where it was due. */
  readonly validation?: Validation;
}

/** What {@linkcode optimise} works on. */
export interface OptimiseRequest {
  readonly settings: TrainingSettings;
  readonly run: SoftStep;
  readonly heads: { readonly heads: number; readonly kvHeads: number; readonly headDim: number };
  readonly layers: number;
  /** Examples to train on, and those held out. */
  readonly train: readonly string[];
  readonly validation: readonly string[];
  readonly load: (key: string) => Promise<PreparedExample>;
  /** Where to start, or to go on. */
  readonly start: Progress;
  /** Steps between two savings, and between two validations. */
  readonly saveEvery: number;
  readonly validateEvery: number;
  readonly save: (progress: Progress) => Promise<void>;
  /** What a user can do about a training that diverges; ends the sentence of the error. */
  readonly wayOut: { readonly text: string; readonly options: readonly string[] };
  readonly onStep?: (report: StepReport) => void | Promise<void>;
  readonly now: () => number;
  readonly signal?: AbortSignal;
}

// A run whose smoothed loss is this many times its lowest is lost. The squared error of a short prompt
// may be many times that of a long one: until the mean is one of many examples, more is borne.
const DIVERGED = 4;
const DIVERGED_EARLY = 25;
const SETTLED = 40;
const SMOOTHING = 0.05;

/**
 * The second phase: gradient descent on the soft tokens alone.
 *
 * @throws {TrainingError} If the loss is not a number or grows out of bounds; the last state whose
 * loss was sound is saved before. An abort, or an example that cannot be read, saves the state too.
 */
export async function optimise(request: OptimiseRequest): Promise<Progress> {
  const { settings, train, start, save, now } = request;
  const steps = stepsOf(settings, train.length);
  const schedule = learningRate({
    peak: 1,
    warmup: Math.round(settings.warmup * steps),
    steps,
  });
  const tensors = copyOf(start.tensors);
  const optimisers = createOptimisers(settings, start);
  let { step, smoothed, lowest, lossStart } = start;
  const progress = (): Progress => {
    const { first, second } = optimisers.exportState();
    return { step, tensors: copyOf(tensors), first, second, smoothed, lowest, lossStart };
  };
  let good = start;
  while (step < steps) {
    const begin = now();
    const { loss, gradients } = await batchGradients(request, tensors, step).catch(
      async (error) => {
        await save(progress());
        throw error;
      },
    );
    const gradientNorm = clipByNorm(gradients, settings.clip);
    const average = step === 0 ? loss : smoothed + SMOOTHING * (loss - smoothed);
    const limit = lowest * (step < SETTLED ? DIVERGED_EARLY : DIVERGED);
    if (!Number.isFinite(loss + gradientNorm) || average > limit) {
      await save(good);
      throw new TrainingError(
        `Cannot go on training: the loss was ${loss} at step ${step + 1}, its gradient's norm ` +
          `${gradientNorm}; the state of step ${good.step} is saved; ${request.wayOut.text}`,
        { options: request.wayOut.options },
      );
    }
    const last = step + 1 === steps;
    const validating = last || (step + 1) % request.validateEvery === 0;
    good = progress();
    // A validation takes long; a run that is stopped meanwhile goes on right before it.
    if (validating && request.validation.length > 0) await save(good);
    const factor = schedule(step);
    optimisers.step(tensors, gradients, factor);
    step++;
    if (step === 1) lossStart = loss;
    smoothed = average;
    lowest = step === SETTLED ? average : Math.min(lowest, average);
    const seconds = (now() - begin) / 1000;
    const validation = validating ? await validationOf(request, tensors) : undefined;
    await request.onStep?.({
      step,
      steps,
      loss,
      rate: factor * settings.rate,
      gradientNorm,
      examplesPerSecond: settings.batch / seconds,
      ...(validation ? { validation } : {}),
    });
    if (last || step % request.saveEvery === 0) await save(progress());
  }
  return progress();
}

/** How well tensors do on the held-out examples; absent where none are held out. */
export async function validationOf(
  request: Pick<
    OptimiseRequest,
    "validation" | "load" | "run" | "heads" | "layers" | "signal" | "settings"
  >,
  tensors: Tensors,
): Promise<Validation | undefined> {
  const { validation, load, run, heads, layers, signal, settings } = request;
  const groups = groupsOf(settings);
  if (validation.length === 0) return undefined;
  async function* maps() {
    for (const key of validation) {
      await pause(signal);
      const example = await load(key);
      const { loss, attention } = await run(example, tensors, {
        gradients: false,
        attention: true,
      });
      yield { loss, soft: attention, response: example.target.attention, groups };
    }
  }
  return await validate(maps(), { ...heads, layers, average: settings.average });
}

async function batchGradients(
  { settings: { batch, seed }, train, load, run, signal }: OptimiseRequest,
  tensors: Tensors,
  step: number,
): Promise<{ readonly loss: number; readonly gradients: Record<string, Float32Array> }> {
  const gradients: Record<string, Float32Array> = {};
  let loss = 0;
  for (const index of batchOf(step, batch, train.length, seed)) {
    await pause(signal);
    const example = await load(train[index] ?? "");
    const outputs = await run(example, tensors, { gradients: true, attention: false });
    loss += outputs.loss / batch;
    const all = { ...outputs.adapterGradients, [SOFT_TOKENS_TENSOR]: outputs.gradient };
    addInto(gradients, all, 1 / batch);
  }
  return { loss, gradients };
}

function copyOf(tensors: Tensors): Record<string, Float32Array> {
  return Object.fromEntries(Object.entries(tensors).map(([name, data]) => [name, data.slice()]));
}
