import { assert, assertEquals } from "@std/assert";
import { openCheckpoint } from "../../../runtime/checkpoint/open.ts";
import { readFloats, readTensor } from "../../../runtime/checkpoint/safetensors.ts";
import { type RandomModel, writeFolder } from "../../_random_checkpoint.ts";
import type { RopeScaling } from "../../../runtime/checkpoint/checkpoint.ts";
import { inverseFrequencies, type ReferenceModel, referenceModel } from "../../_reference_model.ts";
import { WINDOWED } from "../../_test_model.ts";
import { withFolder } from "../../_temp_folder.ts";

const FIXTURES = new URL("../../fixtures/", import.meta.url).pathname;
const MODELS = ["tiny-llama", "tiny-llama31", "tiny-mistral", "tiny-qwen2", "tiny-qwen3"];

/**
 * Of the largest value. Transformers worked in single precision, the reference in double; most of the
 * difference comes from the rotary frequencies.
 */
const TOLERANCE = 2e-5;

function assertClose(actual: Float32Array, expected: Float32Array, what: string): void {
  assertEquals(actual.length, expected.length, what);
  let [worst, largest] = [0, 0];
  for (let i = 0; i < actual.length; i++) {
    const difference = Math.abs((actual[i] ?? NaN) - (expected[i] ?? NaN));
    worst = difference > worst || Number.isNaN(difference) ? difference : worst;
    largest = Math.max(largest, Math.abs(expected[i] ?? NaN));
  }
  assert(worst <= TOLERANCE * largest, `${what} differs by ${worst}, largest value ${largest}`);
}

function integers(golden: string, name: string): Int32Array {
  const { data } = readTensor(golden, name);
  assert(data instanceof Int32Array);
  return data;
}

for (const name of WINDOWED) {
  const golden = `${FIXTURES}${name}/golden.safetensors`;
  const floats = (tensor: string) => readFloats(golden, tensor).data;

  Deno.test(`referenceModel() gives the golden logits, Q, K and greedy tokens of ${name}`, async () => {
    const model = referenceModel(await openCheckpoint(FIXTURES + name));
    const ids = integers(golden, "input_ids");
    const { logits, layers } = model.run(ids);
    assertClose(logits, floats("logits"), "logits");
    layers.forEach(({ q, k }, layer) => {
      assertClose(q, floats(`q.${layer}`), `q.${layer}`);
      assertClose(k, floats(`k.${layer}`), `k.${layer}`);
    });
    assertEquals(model.greedy(ids, 48), [...integers(golden, "greedy")]);
  });
}

for (const name of MODELS) {
  const golden = `${FIXTURES}${name}/golden.safetensors`;
  const floats = (tensor: string) => readFloats(golden, tensor).data;

  Deno.test(`referenceModel() gives the golden logits, Q, K, V and attention of ${name}`, async () => {
    const model = referenceModel(await openCheckpoint(FIXTURES + name));
    const { heads } = model.config;
    const ids = integers(golden, "input_ids");
    const { logits, layers } = model.run(ids);
    assertClose(logits, floats("logits"), "logits");
    assertEquals(layers.length, 3);
    layers.forEach(({ q, k, v, attention }, layer) => {
      assertClose(q, floats(`q.${layer}`), `q.${layer}`);
      assertClose(k, floats(`k.${layer}`), `k.${layer}`);
      assertClose(v, floats(`v.${layer}`), `v.${layer}`);
      const n = ids.length;
      const received = new Float32Array(heads * n);
      attention.forEach((share, i) => {
        const at = Math.floor(i / (n * n)) * n + i % n;
        received[at] = (received[at] ?? 0) + share;
      });
      assertClose(received, floats(`attention_sum.${layer}`), `attention_sum.${layer}`);
    });
  });

  Deno.test(`referenceModel() continues ${name} with the golden greedy tokens`, async () => {
    const model = referenceModel(await openCheckpoint(FIXTURES + name));
    const ids = integers(golden, "input_ids");
    assertEquals(model.greedy(ids, 16), [...integers(golden, "greedy")]);
  });

  Deno.test(`referenceModel() decodes ${name} with hidden tokens as the golden cache does`, async () => {
    const model = referenceModel(await openCheckpoint(FIXTURES + name));
    const { kvHeads, vocabulary } = model.config;
    const ids = integers(golden, "input_ids");
    const kept = [0, 1, 2].map((layer) => {
      const indices = integers(golden, `snapkv.kept.${layer}`);
      const perHead = indices.length / kvHeads;
      return Array.from(
        { length: kvHeads },
        (_, head) => new Set(indices.subarray(head * perHead, (head + 1) * perHead)),
      );
    });
    let { cache } = model.run(ids);
    const decoded = new Float32Array(4 * vocabulary);
    integers(golden, "greedy").subarray(0, 4).forEach((id, step) => {
      const output = model.run([id], {
        cache,
        visible: (layer, head, index) =>
          index >= ids.length || kept[layer]?.[head]?.has(index) === true,
      });
      decoded.set(output.logits, step * vocabulary);
      cache = output.cache;
    });
    assertClose(decoded, floats("snapkv.decode_logits"), "snapkv.decode_logits");
  });
}

Deno.test("referenceModel() attends to embeddings as the golden soft tokens do", async () => {
  const golden = `${FIXTURES}tiny-llama/golden.safetensors`;
  const model = referenceModel(await openCheckpoint(`${FIXTURES}tiny-llama`));
  const ids = integers(golden, "input_ids");
  const { cache } = model.run(ids);
  const soft = model.run(readFloats(golden, "judge_q.soft").data, { cache });
  const [n, total, count] = [ids.length, ids.length + 8, 8];
  const mean = new Float32Array(3 * 4 * n);
  soft.layers.forEach(({ attention }, layer) => {
    attention.forEach((share, i) => {
      const index = i % total;
      const head = Math.floor(i / (total * count));
      const at = (layer * 4 + head) * n + index;
      if (index < n) mean[at] = (mean[at] ?? 0) + share / count;
    });
  });
  assertClose(mean, readFloats(golden, "judge_q.attention_soft").data, "attention_soft");
});

const DYNAMIC = { kind: "dynamic", factor: 4, originalContext: 16 } as const;

Deno.test("inverseFrequencies() raises the base of dynamic scaling with the sequence", () => {
  const rope = { headDim: 4, ropes: [{ theta: 100, scaling: DYNAMIC }] };
  for (const sequence of [0, 3, 16]) {
    assertEquals([...inverseFrequencies(rope, sequence)], [1, 0.1]);
  }
  // base × (4 × 32 / 16 - 3)² = 100 × 25, to the power of -1/2.
  const [first, second] = inverseFrequencies(rope, 32);
  assertEquals(first, 1);
  assert(Math.abs((second ?? NaN) - 1 / 50) < 1e-12);
});

Deno.test("inverseFrequencies() divides by the factor or the factors", () => {
  const of = (scaling: RopeScaling) => [
    ...inverseFrequencies({ headDim: 4, ropes: [{ theta: 100, scaling }] }),
  ];
  const linear = { kind: "linear", factor: 4 } as const;
  const factors = { kind: "factors", factors: [2, 5] } as const;
  assertEquals(of(linear), [0.25, 0.025]);
  assertEquals(of(factors), [0.5, 0.02]);
});

async function withRandomModel(
  model: RandomModel,
  use: (model: ReferenceModel) => void,
): Promise<void> {
  await withFolder(async (folder) => {
    await writeFolder(folder, model);
    use(referenceModel(await openCheckpoint(folder)));
  });
}

function inChunks(model: ReferenceModel, ids: readonly number[], sequenceLength?: number) {
  const first = model.run(ids.slice(0, 13), sequenceLength ? { sequenceLength } : {});
  const { cache } = first;
  return model.run(ids.slice(13), { cache, ...(sequenceLength ? { sequenceLength } : {}) });
}

function lastRow({ logits }: { logits: Float32Array }): Float32Array {
  return logits.subarray(logits.length - 80);
}

Deno.test("referenceModel() gives the same in chunks as in one call", async () => {
  const ids = Array.from({ length: 30 }, (_, i) => i * 7 % 80);
  await withRandomModel({ heads: 6, kvHeads: 3, headDim: 12 }, (model) => {
    assertClose(lastRow(inChunks(model, ids)), lastRow(model.run(ids)), "logits");
  });
});

Deno.test("referenceModel() needs the whole length for chunks under dynamic scaling", async () => {
  const ids = Array.from({ length: 30 }, (_, i) => i * 7 % 80);
  await withRandomModel({ context: 16, ropeScaling: DYNAMIC }, (model) => {
    const whole = lastRow(model.run(ids));
    assertClose(lastRow(inChunks(model, ids, 30)), whole, "logits");
    const unaware = lastRow(inChunks(model, ids));
    assert(unaware.some((value, i) => Math.abs(value - (whole[i] ?? NaN)) > 1e-2));
  });
});
