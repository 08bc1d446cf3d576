import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { TrainingError } from "../../training/errors.ts";
import { drawCurves } from "../../training/figure.ts";
import { loadedModules } from "../_source_tree.ts";

/** Checks that every tag is closed in order and every `&` is an entity. */
function checkWellFormed(svg: string): void {
  const open: string[] = [];
  const tag = /<(\/?)([\w:]+)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>|<[^>]*>/g;
  for (const [text, closing, name = "", , empty] of svg.matchAll(tag)) {
    assert(name !== "", `not a tag: ${text}`);
    if (closing) assertEquals(open.pop(), name);
    else if (!empty) open.push(name);
  }
  assertEquals(open, []);
  assertEquals(svg.match(/&(?!(amp|lt|gt|quot|#\d+);)/g), null);
}

/** The paths of the curves, without those of axes and legends. */
const lines = (svg: string) =>
  [...svg.matchAll(
    /<path aria-label="optimiser steps[^"]*" role="graphics-symbol" aria-roledescription="line mark" d="([^"]*)"/g,
  )]
    .map(([, path = ""]) => path);

const run = (steps: number) =>
  Array.from({ length: steps }, (_, index) => ({
    step: index + 1,
    loss: 6e-5 * (1 + Math.sin(index) / 4) / (1 + index / 100),
    rate: 0.01 * (1 - index / steps),
    ...(index % 10 === 0
      ? { validation: { loss: 5e-5, hitRate: { 64: 0.6, 128: 0.7 }, attentionMass: { 64: 0.8 } } }
      : {}),
  }));

Deno.test("drawCurves() draws one path per curve with titles, axes and legends", async () => {
  const svg = await drawCurves(run(100), { title: 'Judge Q, <32> tokens & "more"' });
  checkWellFormed(svg);
  assertEquals(lines(svg).length, 3 + 2 + 1 + 1);
  for (
    const text of [
      'Judge Q, &lt;32&gt; tokens &amp; "more"',
      "optimiser steps",
      "loss",
      "critical hit rate (%)",
      "attention mass kept (%)",
      "learning rate",
      "each step",
      "smoothed",
      "validation",
      "budget 64",
      "budget 128",
    ]
  ) assert(svg.includes(`>${text}</text>`), text);
});

Deno.test("drawCurves() shows a single point as a dot", async () => {
  const svg = await drawCurves([{ step: 1, loss: 0.5 }]);
  checkWellFormed(svg);
  assertEquals(svg.match(/aria-roledescription="point"/g)?.length, 2);
});

Deno.test("drawCurves() leaves out losses that are not numbers", async () => {
  const svg = await drawCurves([
    { step: 1, loss: 0.5 },
    { step: 2, loss: NaN },
    { step: 3, loss: Infinity },
    { step: 4, loss: 0 },
    { step: 5, loss: 0.25 },
  ]);
  checkWellFormed(svg);
  assertEquals(svg.match(/NaN|Infinity|undefined/g), null);
  assertEquals(lines(svg).map((path) => path.match(/[ML]/g)?.length), [3, 3]);
});

Deno.test("drawCurves() keeps the figure of a long run small", async () => {
  const svg = await drawCurves(run(20_000));
  checkWellFormed(svg);
  assert(svg.length < 200_000, `${svg.length} characters`);
  assertEquals(lines(svg).length, 7);
  for (const path of lines(svg)) assertMatch(path, /^M[-\d.,]+(L[-\d.,]+)+$/);
});

Deno.test("drawCurves() draws the same twice", async () => {
  assertEquals(await drawCurves(run(30)), await drawCurves(run(30)));
});

Deno.test("drawCurves() refuses a log without curves", async () => {
  await assertRejects(() => drawCurves([]), TrainingError, "the log has none yet");
  await assertRejects(() => drawCurves([{ step: 1, loss: NaN }]), TrainingError, "none yet");
});

Deno.test("drawCurves() loads its library only when it draws", async () => {
  const modules = [...await loadedModules("training/figure.ts")];
  assertEquals(modules.filter((name) => name.includes("vega")), []);
});
