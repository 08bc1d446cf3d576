import { assertEquals } from "@std/assert";
import { loadedOnDemand } from "../../../kernels/device/on_demand.ts";
import { declareSpans, spanParts, spanStarts } from "../../../kernels/device/rotary_spans.ts";
import { createGraph, type Graph } from "../../../kernels/onnx/graph.ts";
import { rotaryRows } from "../../../kernels/rope.ts";
import { integers } from "../../../kernels/session.ts";
import { assertClose } from "../../_close.ts";
import { testDevice } from "../../_device.ts";

const HALF = 3;

/** Gives the tables that are computed. */
function tables(count: number): Graph {
  const graph = createGraph("spans");
  for (const [table, rows] of declareSpans(graph, count, HALF).entries()) {
    for (const part of ["cos", "sin"] as const) {
      graph.op("Identity", [rows[part]], { names: [`${part}.${table}`] });
      graph.output(`${part}.${table}`, "float32", ["T", 1, HALF]);
    }
  }
  return graph.build();
}

Deno.test("a device computes the rotations of positions that follow one another", async () => {
  await using device = testDevice();
  await using kernels = loadedOnDemand(device);
  const build = () => tables(2);
  const frequencies = [Float32Array.of(1, 0.03, 0), Float32Array.of(0.7, 0.2, 1e-4)] as const;
  for (const [start, tokens] of [[0, 1], [4, 50], [31, 33], [1000, 1024], [977, 1100]] as const) {
    const spans = frequencies.map((one) => ({ frequencies: one, start }));
    const found = await kernels.run(build, {
      ...spanParts(frequencies[0], tokens, 0),
      ...spanParts(frequencies[1], tokens, 1),
      starts: spanStarts(spans),
      added: integers([tokens]),
    });
    for (const [table, one] of frequencies.entries()) {
      const { cos, sin } = rotaryRows(one, start, tokens);
      const what = `${tokens} from ${start}, table ${table}`;
      // The tables round angles to 32 bits: of 2,000 that is a ten-thousandth.
      const near = { absolute: 1.5e-4 };
      assertClose(found.floats(`cos.${table}`), cos, near, `cosines of ${what}`);
      assertClose(found.floats(`sin.${table}`), sin, near, `sines of ${what}`);
    }
  }
});

Deno.test("what rotations are made of does not depend on the tokens, but for powers of two", () => {
  const frequencies = Float32Array.of(1, 0.1, 0.01);
  const rows = (tokens: number) => spanParts(frequencies, tokens, 0)["coarse_cos.0"]?.dims[0];
  assertEquals([1, 50, 1024, 1025, 2048, 2049].map(rows), [32, 32, 32, 64, 64, 128]);
});
