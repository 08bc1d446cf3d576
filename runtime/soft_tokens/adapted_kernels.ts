import type { AdapterShape } from "../../kernels/adapters.ts";
import type { StepKernel } from "../../kernels/step.ts";

/** Step kernels with adapters, one for each shape. Owns them. */
export interface AdaptedKernels<Kernel extends AsyncDisposable = StepKernel>
  extends AsyncDisposable {
  /** The kernel for a shape: made at its first use, once however many ask at a time. */
  kernel(shape: AdapterShape): Promise<Kernel>;
}

/**
 * Keeps step kernels with adapters apart from the one that reads prompts and decodes: those that need
 * none pay for none, and nothing can change what the other tokens compute.
 *
 * @param create Makes one. One that failed is tried again when it is asked for again.
 */
export function adaptedKernels<Kernel extends AsyncDisposable>(
  create: (shape: AdapterShape) => Promise<Kernel>,
): AdaptedKernels<Kernel> {
  const made = new Map<string, Promise<Kernel>>();
  return {
    kernel(shape) {
      const key = `${shape.rank} ${shape.projections.join(" ")}`;
      const known = made.get(key);
      if (known) return known;
      const kernel = create(shape);
      made.set(key, kernel);
      kernel.catch(() => made.delete(key));
      return kernel;
    },
    async [Symbol.asyncDispose]() {
      const kernels = await Promise.allSettled(made.values());
      made.clear();
      for (const kernel of kernels) {
        if (kernel.status === "fulfilled") await kernel.value[Symbol.asyncDispose]();
      }
    },
  };
}
