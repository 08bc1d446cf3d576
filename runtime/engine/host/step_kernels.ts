import { type AdapterShape, PROJECTIONS } from "../../../kernels/adapters.ts";
import { createStepKernel, type StepKernel } from "../../../kernels/step.ts";
import type { WeightCopies } from "../../../kernels/step_graph.ts";
import type { StepModel } from "../../../kernels/step_model.ts";
import { adaptedKernels } from "../../soft_tokens/adapted_kernels.ts";

/** What {@linkcode openStepKernels} opens for. */
export interface StepKernelsOptions {
  readonly threads: number;
  /** Sequences that one decoding step may advance. */
  readonly sequences: number;
  readonly copies: WeightCopies;
}

/** The step graph of a model, and what runs probes with adapters. Owns them. */
export interface StepKernels extends AsyncDisposable {
  readonly step: StepKernel;
  /** Gives the step graph with adapters, for the probes that have some. */
  readonly adapted: (shape: AdapterShape) => Promise<StepKernel>;
}

/** Loads the step graph of a model. */
export async function openStepKernels(
  model: StepModel,
  { threads, sequences, copies }: StepKernelsOptions,
): Promise<StepKernels> {
  if (copies === "one") {
    return await openOneCopy((adapters) =>
      createStepKernel(model, threads, { sequences, copies, ...(adapters ? { adapters } : {}) })
    );
  }
  await using opening = new AsyncDisposableStack();
  const step = opening.use(await createStepKernel(model, threads, { sequences }));
  const kernels = opening.use(
    adaptedKernels((adapters) => createStepKernel(model, threads, { adapters })),
  );
  const opened = opening.move();
  return {
    step,
    adapted: (shape) => kernels.kernel(shape),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/**
 * One step graph for all steps. Where a probe brings adapters that it has no inputs for, the graph is
 * loaded again with these, after the old one was freed: the weights never lie in memory twice. The other
 * steps then bring adapters of rank 0, which change nothing.
 *
 * @param open Loads the graph.
 */
export async function openOneCopy(
  open: (adapters: AdapterShape | undefined) => Promise<StepKernel>,
): Promise<StepKernels> {
  let adapters: AdapterShape | undefined;
  let kernel: StepKernel | undefined = await open(undefined);
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <Result>(work: () => Promise<Result>): Promise<Result> => {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  };
  const free = async () => {
    const old = kernel;
    kernel = undefined;
    await old?.[Symbol.asyncDispose]();
  };
  const step: StepKernel = {
    run: (inputs) =>
      inTurn(async () => {
        // Loading it again may have failed.
        kernel ??= await open(adapters);
        return await kernel.run(inputs);
      }),
    [Symbol.asyncDispose]: () => inTurn(free),
  };
  return {
    step,
    adapted: (shape) =>
      inTurn(async () => {
        const missing = shape.projections.some((one) => !adapters?.projections.includes(one));
        if (missing) {
          const known = adapters?.projections ?? [];
          const projections = PROJECTIONS.filter((one) =>
            known.includes(one) || shape.projections.includes(one)
          );
          await free();
          const wider = { rank: shape.rank, projections };
          kernel = await open(wider);
          adapters = wider;
        }
        return step;
      }),
    [Symbol.asyncDispose]: () => step[Symbol.asyncDispose](),
  };
}
