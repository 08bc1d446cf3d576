import { assert, assertEquals } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import type { DeviceKernel } from "../../../kernels/device/device.ts";
import {
  CANDIDATES,
  canDraw,
  DRAW_COLUMNS,
  drawColumns,
  drawToken,
} from "../../../kernels/device/draw_nodes.ts";
import type { DrawSettings } from "../../../kernels/draw_settings.ts";
import { createGraph, type Graph } from "../../../kernels/onnx/graph.ts";
import { floats } from "../../../kernels/session.ts";
import { createSampler } from "../../../runtime/sampling/sampler.ts";
import { testDevice, testProvider } from "../../_device.ts";

const PLAIN: DrawSettings = {
  ...{ temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1 },
};

function drawGraph(size: number): Graph {
  const graph = createGraph("draw");
  graph.input("logits", "float32", [1, size]);
  graph.input("seen", "float32", [1, size]);
  graph.input("settings", "float32", [1, DRAW_COLUMNS.length]);
  graph.ops(
    "Split",
    ["settings", graph.integers(DRAW_COLUMNS.map(() => 1))],
    DRAW_COLUMNS.length,
    { attributes: { axis: { int: 1 } }, names: DRAW_COLUMNS },
  );
  const [uniform, temperature, limit, whole, top_p, least, plain, penalty] = DRAW_COLUMNS;
  const settings = { uniform, temperature, limit, whole, top_p, least, plain, penalty };
  const { id, certain } = drawToken(graph, { logits: "logits", size, seen: "seen", settings });
  graph.op("Concat", [id, certain], { attributes: { axis: { int: 1 } }, names: ["drawn"] });
  graph.output("drawn", "float32", [1, 2]);
  return graph.build();
}

async function drawn(
  kernel: DeviceKernel,
  logits: Float32Array,
  seen: ReadonlySet<number>,
  columns: readonly number[],
): Promise<{ readonly id: number | undefined; readonly certain: boolean }> {
  const marks = logits.map((_, id) => seen.has(id) ? 1 : 0);
  const found = await kernel.run({
    logits: floats(logits, [1, logits.length]),
    seen: floats(marks, [1, logits.length]),
    settings: floats(Float32Array.from(columns), [1, columns.length]),
  });
  const [id, certain] = found.floats("drawn");
  return { id, certain: certain === 1 };
}

const settings: fc.Arbitrary<DrawSettings> = fc.record({
  temperature: fc.constantFrom(0, 0.3, 0.7, 1, 1.5),
  topK: fc.constantFrom(0, 0, 1, 5, 40, CANDIDATES),
  topP: fc.constantFrom(1, 1, 0.3, 0.9, 0.95),
  minP: fc.constantFrom(0, 0, 0.05, 0.3),
  repetitionPenalty: fc.constantFrom(1, 1, 1.3, 0.8),
});

/** Logits of a real text's kind: few are likely, and several are alike. */
function logitsOf(size: number, seed: number, sharpness: number): Float32Array {
  return Float32Array.from(
    { length: size },
    (_, id) => Math.round(64 * sharpness * Math.sin(id * 12.9898 * (seed + 1) + seed) ** 5) / 64,
  );
}

for (
  const [size, runs] of [[512, testProvider() === "webgpu" ? 8 : 120], [
    12_288,
    testProvider() === "webgpu" ? 3 : 20,
  ]] as const
) {
  Deno.test(`drawToken() draws what createSampler() draws, or is not certain: ${size} tokens`, async () => {
    await using device = testDevice();
    await using kernel = await device.load(drawGraph(size));
    let certain = 0;
    /** Draws that the candidates are enough for. */
    const cut = { all: 0, certain: 0 };
    await fc.assert(
      fc.asyncProperty(
        settings,
        fc.nat(1000),
        fc.constantFrom(4, 9, 16),
        fc.uniqueArray(fc.nat(size - 1), { maxLength: 20 }),
        async (given, seed, sharpness, ids) => {
          const logits = logitsOf(size, seed, sharpness);
          const seen = new Set(ids);
          const sampler = createSampler({ ...given, seed });
          const [uniform = 0] = sampler.drawing(seen, new Set()).uniforms(1);
          const found = await drawn(kernel, logits, seen, drawColumns(given, uniform));
          const expected = sampler.next(logits, seen);
          const enough = given.topK > 0 || given.temperature === 0;
          if (enough) cut.all++;
          if (!found.certain) return;
          certain++;
          if (enough) cut.certain++;
          assertEquals(found.id, expected, `settings ${JSON.stringify(given)}`);
        },
      ),
      { numRuns: runs, seed: 5 },
    );
    if (runs < 20) return;
    assert(certain > runs * 0.7, `${certain} of ${runs} are certain`);
    assert(cut.certain > cut.all * 0.9, `${cut.certain} of ${cut.all} are certain`);
  });
}

Deno.test("drawToken() is not certain where tokens that it did not look at may be drawn", async () => {
  await using device = testDevice();
  await using kernel = await device.load(drawGraph(512));
  const flat = new Float32Array(512);
  const of = async (given: Partial<DrawSettings>, uniform: number) =>
    await drawn(kernel, flat, new Set(), drawColumns({ ...PLAIN, ...given }, uniform));
  // Of 512 alike, the candidates are a quarter.
  assertEquals(await of({}, 0.1), { id: 51, certain: true });
  assertEquals((await of({}, 0.3)).certain, false);
  assertEquals((await of({ topP: 0.9 }, 0.1)).certain, false);
  assertEquals(await of({ topP: 0.2 }, 0.5), { id: 51, certain: true });
  assertEquals(await of({ topK: 10 }, 0.99), { id: 9, certain: true });
  // Where a token ends, 32 bits do not tell which one it is.
  assertEquals((await of({ topK: 10 }, 0.5)).certain, false);
});

Deno.test("drawToken() is certain of nothing where no logit is a number", async () => {
  await using device = testDevice();
  await using kernel = await device.load(drawGraph(512));
  for (const value of [-Infinity, Infinity]) {
    const logits = new Float32Array(512).fill(value);
    for (const temperature of [0, 1]) {
      const columns = drawColumns({ ...PLAIN, temperature }, 0.4);
      assertEquals((await drawn(kernel, logits, new Set(), columns)).certain, false);
    }
  }
});

Deno.test("canDraw() refuses to cut behind more tokens than are looked at", () => {
  assert(canDraw({ ...PLAIN, topK: CANDIDATES }));
  assert(!canDraw({ ...PLAIN, topK: CANDIDATES + 1 }));
});
