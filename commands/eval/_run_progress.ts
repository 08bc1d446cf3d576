import { note } from "../_output.ts";
import type { Progress } from "../_progress.ts";
import type { RunFlags } from "./_run_plan.ts";

/** Shows how many samples are done, and how long the rest may take; `more` is said besides. */
export function counting(
  progress: Progress,
  more: () => readonly string[] = () => [],
): (done: number, total: number) => void {
  const start = performance.now();
  let first: number | undefined;
  return (done, total) => {
    first ??= done - 1;
    const seconds = (performance.now() - start) / 1000 / (done - first) * (total - done);
    const details = [...more(), `${Math.ceil(seconds / 60)} min left`];
    progress.counting("samples", done, total, details.join(", "));
  };
}

/** Says how to go on with what Ctrl-C has stopped. */
export async function untilStopped<T>(
  { out }: RunFlags,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (signal.aborted && out !== undefined) {
      note(`stopped; the same command goes on with the run in ${out}`);
    }
    throw error;
  }
}
