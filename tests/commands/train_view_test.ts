import { assertEquals } from "@std/assert";
import type { Progress } from "../../commands/_progress.ts";
import { trainView } from "../../commands/_train_view.ts";
import type { StepReport } from "../../training/optimise.ts";

/** A view whose terminal is a list of lines, and whose clock is set by hand. */
function viewOf() {
  const lines: string[] = [];
  const clock = { time: 0 };
  const progress: Progress = {
    fetching: () => {},
    reading: () => {},
    counting: (task, done, total, details) =>
      void lines.push(`${task} ${done}/${total}: ${details}`),
    clear: () => void lines.push("clear"),
    [Symbol.dispose]: () => {},
  };
  const note = (text: string) => void lines.push(text);
  const view = trainView({ progress, note, now: () => clock.time });
  return {
    view,
    told: (time: number, tell: () => void) => {
      clock.time = time;
      tell();
      return lines.splice(0);
    },
  };
}

const step = (number: number, rest: Partial<StepReport> = {}): StepReport => ({
  step: number,
  steps: 5000,
  loss: 0.123456,
  rate: 0.01,
  gradientNorm: 1,
  examplesPerSecond: 4,
  ...rest,
});

Deno.test("trainView() tells speed and time left of the targets, those found aside", () => {
  const { view, told } = viewOf();
  assertEquals(told(1000, () => view.onTarget(10, 100, 10)), ["targets 10/100: "]);
  assertEquals(told(3000, () => view.onTarget(11, 100, 10)), [
    "targets 11/100: 2:58 left, 0.5 examples/s",
  ]);
  assertEquals(told(5000, () => view.onTarget(14, 100, 10)), [
    "targets 14/100: 1:26 left, 1.0 examples/s",
  ]);
  assertEquals(told(9000, () => view.onTarget(100, 100, 10)).slice(1), [
    "clear",
    "targets: 90 made, 10 found",
  ]);
});

Deno.test("trainView() tells loss, hit rate, speed and time left of the training", () => {
  const { view, told } = viewOf();
  const validation = {
    loss: 0.5,
    hitRate: { 64: 0.7, 128: 0.75, 256: 0.8 },
    attentionMass: {},
  };
  assertEquals(told(0, () => view.onStart(validation)), [
    "clear",
    "step 0: validation loss 0.5000, hit rate 70.0 % at 64, 75.0 % at 128, 80.0 % at 256",
  ]);
  assertEquals(told(1000, () => view.onStep(step(1))), [
    "training 1/5000: loss 0.1235, hits 80.0 % at 256, 4.0 examples/s",
  ]);
  assertEquals(told(3000, () => view.onStep(step(2, { examplesPerSecond: 2 }))), [
    "training 2/5000: loss 0.1235, hits 80.0 % at 256, 2:46:36 left, 3.8 examples/s",
  ]);
  const better = { ...validation, hitRate: { 64: 0.9 } };
  assertEquals(told(5000, () => view.onStep(step(3, { loss: 1e-7, validation: better }))), [
    "clear",
    "step 3: validation loss 0.5000, hit rate 90.0 % at 64",
    "training 3/5000: loss 1.000e-7, hits 90.0 % at 64, 2:46:34 left, 3.8 examples/s",
  ]);
});

Deno.test("trainView() needs no validation, and none with a budget below the prompts' length", () => {
  const { view, told } = viewOf();
  assertEquals(told(0, () => view.onStep(step(1))), [
    "training 1/5000: loss 0.1235, 4.0 examples/s",
  ]);
  const validation = { loss: 1, hitRate: {}, attentionMass: {} };
  assertEquals(told(1000, () => view.onStep(step(2, { validation }))), [
    "clear",
    "step 2: validation loss 1.000",
    "training 2/5000: loss 0.1235, 1:23:18 left, 4.0 examples/s",
  ]);
});

Deno.test("trainView() knows where a run would go on", () => {
  const { view } = viewOf();
  assertEquals(view.saved(), undefined);
  view.onSaved(0);
  view.onSaved(25);
  assertEquals(view.saved(), 25);
});
