import { assertEquals } from "@std/assert";
import { answerMaps, reduceWeights, SEGMENTS } from "../../training/answer_maps.ts";
import { assertClose } from "../_close.ts";
import { newSequence, randomIds, tinyModel } from "../_test_model.ts";

Deno.test("reduceWeights() gives mean, most, mean of the highest four and means of quarters", () => {
  // One head, two tokens, six queries.
  const first = [0.1, 0.5, 0.2, 0.9, 0, 0.4];
  const second = [0.3, 0, 0, 0, 0, 0.6];
  const weights = Float32Array.from(first.flatMap((value, query) => [value, second[query] ?? NaN]));
  const maps = {
    mean: new Float32Array(2),
    max: new Float32Array(2),
    top: new Float32Array(2),
    segments: new Float32Array(2 * SEGMENTS),
  };
  reduceWeights(weights, { heads: 1, queries: 6, length: 2, ...maps });
  const close = (found: Float32Array, expected: number[]) =>
    assertClose(found, expected, { absolute: 1e-6 });
  close(maps.mean, [2.1 / 6, 0.9 / 6]);
  close(maps.max, [0.9, 0.6]);
  close(maps.top, [2 / 4, 0.9 / 4]);
  // Queries 0; 1, 2; 3; 4, 5.
  close(maps.segments, [0.1, 0.3, 0.35, 0, 0.9, 0, 0.2, 0.3]);
  const single = { mean: maps.mean, max: maps.max, top: maps.top, segments: maps.segments };
  reduceWeights(Float32Array.of(0.7, 0.2), { heads: 1, queries: 1, length: 2, ...single });
  close(maps.top, [0.7, 0.2]);
  close(maps.segments, Array.from({ length: SEGMENTS }, () => [0.7, 0.2]).flat());
});

for (const name of ["tiny-llama", "tiny-gemma3"]) {
  Deno.test(`answerMaps() agrees with what ${name} is observed to attend to, and leaves no trace`, async () => {
    await using tiny = await tinyModel(name);
    const { engine } = tiny.model;
    const sequence = newSequence(engine);
    using cache = sequence.cache;
    await engine.advance(sequence, { ids: randomIds(30, 250, 1) });
    const ids = randomIds(6, 250, 2);
    const held = cache.lengths(0);
    const maps = await answerMaps(engine, sequence, ids);
    assertEquals([cache.lengths(0), sequence.position], [held, 30]);
    const { heads } = engine.config;
    // What one query more adds to the sums is what it pays.
    const sums: Float32Array[] = [];
    for (let count = 1; count <= ids.length; count++) {
      const { attentionSums } = await engine.probe(sequence, {
        ids: ids.slice(0, count),
        observe: true,
      });
      const rows = attentionSums.flatMap((layer) => {
        const [floats, columns] = [layer.floats(), 30 + count];
        return [...floats].filter((_, index) => index % columns < 30);
      });
      sums.push(Float32Array.from(rows));
    }
    const paid = sums.map((sum, query) =>
      sum.map((value, at) => value - (sums[query - 1]?.[at] ?? 0))
    );
    const plane = heads * 30;
    const overQueries = (reduce: (values: number[]) => number) =>
      Float32Array.from(sums[0] ?? [], (_, at) => reduce(paid.map((row) => row[at] ?? NaN)));
    const meanOf = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    const close = (found: Float32Array, expected: Float32Array, what: string) =>
      assertClose(found, expected, { absolute: 2e-5 }, what);
    close(maps.mean, overQueries(meanOf), "mean");
    close(maps.max, overQueries((values) => Math.max(...values)), "max");
    close(
      maps.top,
      overQueries((values) => meanOf(values.toSorted((a, b) => b - a).slice(0, 4))),
      "top",
    );
    const quarters = [[0, 1], [1, 3], [3, 4], [4, 6]].map(([from, to]) =>
      overQueries((values) => meanOf(values.slice(from, to)))
    );
    const layers = maps.mean.length / plane;
    for (let layer = 0; layer < layers; layer++) {
      quarters.forEach((quarter, part) => {
        const at = (layer * SEGMENTS + part) * plane;
        close(
          maps.segments.subarray(at, at + plane),
          quarter.subarray(layer * plane, (layer + 1) * plane),
          `segment ${part}`,
        );
      });
    }
  });
}
