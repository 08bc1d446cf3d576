import { assertEquals, assertThrows } from "@std/assert";
import type { BlockWeight, Weight } from "../../../kernels/weight.ts";
import type { StepModel } from "../../../kernels/step_model.ts";
import { KvjudgeError } from "../../../runtime/errors.ts";
import { checkCopies, settleCopies } from "../../../runtime/weights/weight_copies.ts";

/** A model of so many layers, each with matrices of 48 MB. */
function modelOf(layers: number): StepModel {
  const place = (length: number) => ({ file: "w.bin", offset: 0, length });
  const blocks: BlockWeight = {
    ...{ kind: "blocks", bits: 4, rows: 1, columns: 1 },
    ...{ values: place(6e6), scales: place(3e6) },
  };
  const floats: Weight = {
    ...{ kind: "float", type: "float32", rows: 1, columns: 1 },
    place: place(3e6),
  };
  const norm = new Float32Array(1);
  return {
    ...{ heads: 1, kvHeads: 1, headDim: 1, hidden: 1, intermediate: 1, vocabulary: 1 },
    ...{ rmsEpsilon: 1, ropes: [], layerKinds: [], activation: "silu", embeddingScale: 1 },
    ...{ attentionScale: 1, embedding: floats, finalNorm: norm },
    layers: Array.from({ length: layers }, () => ({
      attentionNorm: norm,
      qkv: [{ weight: blocks }, { weight: floats }],
      attentionOutput: { weight: blocks },
      mlpNorm: norm,
      gate: { weight: blocks },
      up: { weight: blocks },
      down: { weight: blocks },
    })),
  };
}

Deno.test("settleCopies() holds weights of more than 512 MB once, unless told otherwise", () => {
  assertEquals(settleCopies(modelOf(11), "auto"), "two");
  assertEquals(settleCopies(modelOf(12), "auto"), "one");
  assertEquals(settleCopies(modelOf(12), "two"), "two");
  assertEquals(settleCopies(modelOf(1), "one"), "one");
});

Deno.test("checkCopies() names what there is", () => {
  assertThrows(
    () => checkCopies(JSON.parse('"three"')),
    KvjudgeError,
    "Cannot hold weights in 'three' copies: it must be one of auto, one, two",
  );
});
