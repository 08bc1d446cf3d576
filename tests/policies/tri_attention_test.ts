import { assert, assertEquals, assertRejects } from "@std/assert";
import type { ModelFile } from "../../policies/policy.ts";
import { OptionError } from "../../policies/policy.ts";
import { triAttention } from "../../policies/tri_attention.ts";
import { whileDecoding } from "../../policies/while_decoding.ts";
import { globalLayers } from "../../runtime/checkpoint/layer_kinds.ts";
import { fittedTo } from "../../runtime/evict/fitted.ts";
import { layerFrequencies } from "../../runtime/rotary/frequencies.ts";
import { assertClose, noise } from "../_close.ts";
import { fakeLayer } from "../_fake_layer.ts";
import { randomIds, type TestModel, tinyModel } from "../_test_model.ts";

const SHAPE = { layer: 1, layers: 2, heads: 4, kvHeads: 2, headDim: 6, length: 9 };

function fileOf(shape: typeof SHAPE, frequencies: readonly number[]): ModelFile {
  const { layers, heads, headDim } = shape;
  const half = headDim / 2;
  const means = noise(layers * heads * headDim, 1);
  // A mean length is at least that of the mean.
  const lengths = Float32Array.from({ length: layers * heads * half }, (_, at) => {
    const [row, band] = [Math.floor(at / half), at % half];
    const start = row * headDim + band;
    return Math.hypot(means[start] ?? 0, means[start + half] ?? 0) + 0.1 * (band + 1);
  });
  return {
    kind: "tri_attention",
    tensors: {
      means: { shape: [layers, heads, headDim], data: means },
      lengths: { shape: [layers, heads, half], data: lengths },
      frequencies: {
        shape: [layers, 1, half],
        data: Float32Array.from({ length: layers * half }, (_, at) => frequencies[at % half] ?? 0),
      },
    },
  };
}

/** The paper's sum, term by term: keys before rotation, phases and distances. */
function bySeries(
  shape: typeof SHAPE,
  { tensors: { means, lengths } }: ModelFile,
  { keys, positions, frequencies, distance }: {
    readonly keys: Float32Array;
    readonly positions: Int32Array;
    readonly frequencies: readonly number[];
    readonly distance: number;
  },
): number[] {
  const { layer, heads, kvHeads, headDim, length } = shape;
  const [half, group] = [headDim / 2, heads / kvHeads];
  const next = Math.max(...positions) + 1;
  const best = new Array<number>(kvHeads * length).fill(-Infinity);
  for (let head = 0; head < heads; head++) {
    const kvHead = Math.floor(head / group);
    const row: number[] = [];
    for (let token = 0; token < length; token++) {
      const position = positions[kvHead * length + token] ?? 0;
      let [sum, count] = [0, 0];
      for (let ahead = 1; ahead <= distance; ahead *= 2) {
        count++;
        for (let band = 0; band < half; band++) {
          const start = (token * kvHeads + kvHead) * headDim + band;
          const [a, b] = [keys[start] ?? 0, keys[start + half] ?? 0];
          const angle = Math.atan2(b, a) - position * (frequencies[band] ?? 0);
          const from = (layer * heads + head) * headDim + band;
          const [x, y] = [means?.data[from] ?? 0, means?.data[from + half] ?? 0];
          const [centre, norm] = [Math.hypot(x, y), Math.hypot(a, b)];
          const phase = Math.atan2(y, x) - angle;
          const back = next + ahead - position;
          sum += centre * norm * Math.cos((frequencies[band] ?? 0) * back + phase);
          const whole = lengths?.data[(layer * heads + head) * half + band] ?? 0;
          sum += (whole - centre) * norm;
        }
      }
      row.push(sum / count);
    }
    const mean = row.reduce((a, b) => a + b) / length;
    const deviation = Math.sqrt(row.reduce((a, b) => a + (b - mean) ** 2, 0) / length);
    row.forEach((score, token) => {
      const at = kvHead * length + token;
      best[at] = Math.max(best[at] ?? 0, (score - mean) / deviation);
    });
  }
  return best;
}

Deno.test("tri_attention is the paper's series, term by term", async () => {
  const frequencies = [1, 0.3, 0.01];
  const file = fileOf(SHAPE, frequencies);
  const keys = noise(SHAPE.length * SHAPE.kvHeads * SHAPE.headDim, 4);
  const positions = Int32Array.from({ length: 18 }, (_, at) => 3 * (at % 9) + (at > 8 ? 2 : 0));
  for (const distance of [1, 5, 64]) {
    const policy = triAttention({ centres: file, distance });
    const fitted = await fittedTo(policy, await facts());
    assert("score" in fitted);
    const layer = fakeLayer({ ...SHAPE, keys, positions });
    const expected = bySeries(SHAPE, file, { keys, positions, frequencies, distance });
    assertClose(await fitted.score(layer), expected, { absolute: 1e-4 }, `distance ${distance}`);
  }
});

async function facts() {
  await using test = await tinyModel("tiny-llama");
  return await test.model.facts();
}

Deno.test("tri_attention by hand: of two keys alike, the one at the distance that the centre prefers stays", async () => {
  const shape = { layer: 0, layers: 1, heads: 1, kvHeads: 1, headDim: 2, length: 3 };
  // A query and a key are opposite when they are as many tokens apart as half a turn takes.
  const frequency = Math.PI / 4;
  const centres: ModelFile = {
    kind: "tri_attention",
    tensors: {
      means: { shape: [1, 1, 2], data: Float32Array.of(1, 0) },
      lengths: { shape: [1, 1, 1], data: Float32Array.of(1) },
      frequencies: { shape: [1, 1, 1], data: Float32Array.of(frequency) },
    },
  };
  const positions = Int32Array.of(0, 4, 6);
  const keys = Float32Array.from(
    [...positions].flatMap((at) => [Math.cos(at * frequency), Math.sin(at * frequency)]),
  );
  const fitted = await fittedTo(triAttention({ centres, distance: 1 }), await facts());
  assert("score" in fitted);
  // The next query but one stands at 8: 8, 4 and 2 tokens behind the keys, so 1, -1 and 0.
  const scores = [...await fitted.score(fakeLayer({ ...shape, keys, positions }))];
  const deviation = Math.sqrt(2 / 3);
  assertClose(scores, [1 / deviation, -1 / deviation, 0], { absolute: 1e-5 });
});

function centresFor({ model: { config } }: TestModel): ModelFile {
  const globals = globalLayers(config);
  const shape = { ...SHAPE, ...config, layers: globals.length };
  const file = fileOf(shape, []);
  const data = Float32Array.from(
    globals.flatMap((layer) => [...layerFrequencies(config, layer, 1)]),
  );
  const frequencies = { shape: [globals.length, 1, config.headDim / 2], data };
  return { ...file, tensors: { ...file.tensors, frequencies } };
}

Deno.test("tri_attention evicts while an answer is written, and holds its target and interval", async () => {
  for (const name of ["tiny-llama31", "tiny-gemma3"]) {
    await using test = await tinyModel(name);
    const policy = triAttention({ centres: centresFor(test), every: 8, target: 16 });
    await using session = test.model.session({ policy, budget: 20 });
    await session.read({ ids: randomIds(60, test.model.config.vocabulary, 6) });
    const answer = session.generate({ maxTokens: 40 });
    for await (const _ of answer);
    const { held, decodeEvictions, notes } = session.stats();
    const most = Math.max(...globalLayers(test.model.config).map((layer) => held[layer] ?? 0));
    assert(answer.ids.length < 8 || (decodeEvictions > 0 && most <= 24), `${held}`);
    assertEquals(notes, []);
  }
});

Deno.test("tri_attention refuses what does not fit, and says where there is no file", async () => {
  await using test = await tinyModel("tiny-llama");
  const ids = randomIds(30, test.model.config.vocabulary, 3);
  const read = async (centres?: ModelFile) => {
    const policy = triAttention(centres ? { centres } : {});
    await using session = test.model.session({ policy, budget: 10 });
    await session.read({ ids });
    return session.stats().notes;
  };
  const right = centresFor(test);
  assertEquals(await read(right), []);
  const { means: _, ...rest } = right.tensors;
  await assertRejects(() => read({ ...right, tensors: rest }), OptionError, '"means" is missing');
  await assertRejects(() => read({ ...right, kind: "q_filters" }), OptionError, "'q_filters'");
  const notes = await read();
  assert(notes.some((note) => note.includes("kvjudge train tri-attention")), `${notes}`);
  await assertRejects(
    async () => await Promise.resolve(whileDecoding({ inner: triAttention() })),
    OptionError,
    "Cannot wrap 'tri_attention' in 'while_decoding'",
  );
});
