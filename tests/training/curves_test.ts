import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { curvesOf, type Panel } from "../../training/curves.ts";

const points = (panels: readonly Panel[], title: string, name: string) =>
  panels.find((panel) => panel.title === title)?.curves
    .find((curve) => curve.name === name)?.points.map(({ step, value }) => [step, value]);

Deno.test("curvesOf() finds every curve of a log", () => {
  const panels = curvesOf([
    {
      step: 0,
      validation: { loss: 9, hitRate: { 64: 0.1, 128: 0.2 }, attentionMass: { 64: 0.3 } },
    },
    { step: 1, loss: 8, rate: 0.5, gradientNorm: 3 },
    { step: 2, loss: 6, rate: 0.25, validation: { loss: 7, hitRate: { 64: 0.4 } } },
  ]);
  assertEquals(panels.map(({ title }) => title), [
    "loss",
    "critical hit rate",
    "attention mass kept",
    "learning rate",
  ]);
  assertEquals(points(panels, "loss", "each step"), [[1, 8], [2, 6]]);
  assertEquals(points(panels, "loss", "validation"), [[0, 9], [2, 7]]);
  assertEquals(points(panels, "critical hit rate", "budget 64"), [[0, 0.1], [2, 0.4]]);
  assertEquals(points(panels, "critical hit rate", "budget 128"), [[0, 0.2]]);
  assertEquals(points(panels, "attention mass kept", "budget 64"), [[0, 0.3]]);
  assertEquals(points(panels, "learning rate", "learning rate"), [[1, 0.5], [2, 0.25]]);
});

Deno.test("curvesOf() reads measures that stand in the entry itself", () => {
  const panels = curvesOf([{ step: 4, hitRate: 0.5, attentionMass: { 128: 0.75 } }]);
  assertEquals(points(panels, "critical hit rate", "validation"), [[4, 0.5]]);
  assertEquals(points(panels, "attention mass kept", "budget 128"), [[4, 0.75]]);
  assertEquals(panels.length, 2);
});

Deno.test("curvesOf() smooths the loss from its first value on", () => {
  const losses = [4, 0, 0, 8];
  const panels = curvesOf(losses.map((loss, index) => ({ step: index + 1, loss })));
  const smoothed = points(panels, "loss", "smoothed") ?? [];
  [4, 3.8, 3.61, 3.8295].forEach((value, i) =>
    assertAlmostEquals(smoothed[i]?.[1] ?? NaN, value, 1e-12)
  );
});

Deno.test("curvesOf() leaves out what is no finite number and sorts by step", () => {
  const panels = curvesOf([
    { step: 3, loss: 1 },
    { step: 2, loss: NaN, rate: "fast" },
    { step: 1, loss: 2 },
    { step: 4, loss: Infinity, rate: null, validation: { hitRate: { 64: NaN } } },
  ]);
  assertEquals(points(panels, "loss", "each step"), [[1, 2], [3, 1]]);
  assertEquals(panels.length, 1);
  assertEquals(curvesOf([]), []);
  assertEquals(curvesOf([{ step: 1, speed: 3 }]), []);
});

Deno.test("curvesOf() thins long curves and keeps their ends and peaks", () => {
  const entries = Array.from({ length: 20_000 }, (_, step) => ({ step, loss: Math.sin(step) }));
  entries[7777] = { step: 7777, loss: 50 };
  entries[8888] = { step: 8888, loss: -50 };
  const thinned = points(curvesOf(entries), "loss", "each step") ?? [];
  assert(thinned.length <= 600 && thinned.length > 300, `${thinned.length}`);
  assertEquals([thinned[0]?.[0], thinned.at(-1)?.[0]], [0, 19_999]);
  assert(thinned.some(([step]) => step === 7777) && thinned.some(([step]) => step === 8888));
  assert(thinned.every(([step], i) => i === 0 || (step ?? 0) > (thinned[i - 1]?.[0] ?? 0)));
});
