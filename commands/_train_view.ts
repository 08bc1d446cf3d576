import type { StepReport } from "../training/optimise.ts";
import type { TrainingWatch } from "../training/train.ts";
import type { Validation } from "../training/validation.ts";
import type { Progress } from "./_progress.ts";

/** What the view of a training needs. */
export interface TrainViewOptions {
  readonly progress: Progress;
  /** Writes a line that stays. */
  readonly note: (text: string) => void;
  /** Milliseconds since some moment. */
  readonly now: () => number;
}

/** Part of the newest step in the speed that is shown. */
const SMOOTHING = 0.1;

/**
 * Tells on the terminal how a training gets on: what is done, loss, hit rate, examples per second
 * and the time left.
 */
export function trainView({ progress, note, now }: TrainViewOptions): Required<TrainingWatch> & {
  /** The step that the run would go on from; nothing if it has saved none. */
  readonly saved: () => number | undefined;
} {
  let saved: number | undefined;
  let targetsBegan: number | undefined;
  let first: { readonly step: number; readonly time: number } | undefined;
  let speed = 0;
  let hits: string | undefined;
  const tell = (text: string) => {
    progress.clear();
    note(text);
  };
  const measured = (step: number, validation: Validation) => {
    const { loss } = validation;
    const rates = Object.entries(validation.hitRate)
      .map(([budget, rate]) => `${percent(rate)} at ${budget}`);
    hits = rates.at(-1);
    const hitRate = rates.length > 0 ? `, hit rate ${rates.join(", ")}` : "";
    tell(`step ${step}: validation loss ${loss.toPrecision(4)}${hitRate}`);
  };
  return {
    saved: () => saved,
    onFetch: progress.fetching,
    onNote: tell,
    onSaved: (step) => saved = step,
    onTarget(done, total, found) {
      const began = targetsBegan ??= now();
      const made = done - found;
      const pace = (now() - began) / made;
      const details = made > 0
        ? [timeLeft((total - done) * pace), `${(1000 / pace).toFixed(1)} examples/s`]
        : [];
      progress.counting("targets", done, total, details.join(", "));
      if (done === total) tell(`targets: ${made} made, ${found} found`);
    },
    onStart: (validation) => measured(0, validation),
    onStep(report: StepReport) {
      const { step, steps, loss, examplesPerSecond, validation } = report;
      const time = now();
      speed = first ? speed + SMOOTHING * (examplesPerSecond - speed) : examplesPerSecond;
      first ??= { step, time };
      if (validation) measured(step, validation);
      const pace = (time - first.time) / (step - first.step);
      progress.counting(
        "training",
        step,
        steps,
        [
          `loss ${loss.toPrecision(4)}`,
          ...(hits ? [`hits ${hits}`] : []),
          ...(step > first.step ? [timeLeft((steps - step) * pace)] : []),
          `${speed.toFixed(1)} examples/s`,
        ].join(", "),
      );
    },
  };
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** As in `1:02:03 left`. */
function timeLeft(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const [first = 0, ...rest] = parts[0] === 0 ? parts.slice(1) : parts;
  return `${[first, ...rest.map((part) => `${part}`.padStart(2, "0"))].join(":")} left`;
}
