import { assert, assertEquals, assertRejects } from "@std/assert";
import type { RopeScaling } from "../../../runtime/checkpoint/checkpoint.ts";
import { FAMILIES } from "../../../runtime/checkpoint/families/mod.ts";
import { openCheckpoint } from "../../../runtime/checkpoint/open.ts";
import { readRows } from "../../../runtime/checkpoint/read_rows.ts";
import { CheckpointError } from "../../../runtime/errors.ts";
import {
  type GgufOptions,
  type RandomModel,
  randomTensors,
  writeFolder,
  writeGguf,
} from "../../_random_checkpoint.ts";
import { patchGguf } from "../../_patch_gguf.ts";
import { inverseFrequencies, referenceModel } from "../../_reference_model.ts";
import { withFolder } from "../../_temp_folder.ts";

/** Architectures whose rows converters interleave, stated here a second time. */
const INTERLEAVED = ["llama", "smollm3"];
const SHAPES: RandomModel = { heads: 6, kvHeads: 3, headDim: 12, hidden: 64, intermediate: 96 };

function worstDifference(actual: Float32Array, expected: Float32Array): number {
  assertEquals(actual.length, expected.length);
  return actual.reduce((most, x, i) => Math.max(most, Math.abs(x - (expected[i] ?? NaN))), 0);
}

for (const { name: family, gguf: stored } of FAMILIES) {
  Deno.test(`openCheckpoint() reads a GGUF file of ${family} as it reads its folder`, async () => {
    await withFolder(async (folder) => {
      const model = { ...SHAPES, family, tied: family === "qwen3" };
      await writeFolder(folder, model);
      await writeGguf(`${folder}/x.gguf`, model);
      const hf = await openCheckpoint(folder);
      const gguf = await openCheckpoint(`${folder}/x.gguf`);
      assertEquals(gguf.config, {
        ...hf.config,
        family: stored ? family : "llama",
        rmsEpsilon: Math.fround(1e-5),
      });
      assertEquals([...gguf.tensors.keys()], [...hf.tensors.keys()]);
      for (const [name, { shape, data }] of randomTensors(model)) {
        const tensor = gguf.tensors.get(name);
        assert(tensor);
        assertEquals(tensor.shape, shape, name);
        assertEquals(readRows(tensor), data, name);
      }
      const ids = [3, 14, 15, 9, 2, 6];
      const [a, b] = [referenceModel(hf).run(ids), referenceModel(gguf).run(ids)];
      assert(worstDifference(a.logits, b.logits) < 1e-4);
    });
  });
}

Deno.test("openCheckpoint() marks only the query and key rows of some families as interleaved", async () => {
  await withFolder(async (folder) => {
    for (const { name: family, gguf } of FAMILIES) {
      const path = `${folder}/${family}.gguf`;
      await writeGguf(path, { family, attentionBias: true });
      const { tensors } = await openCheckpoint(path);
      const marked = [...tensors.values()].filter(({ interleavedHeads }) => interleavedHeads)
        .map(({ name, interleavedHeads }) => [name.replace(/^.*layers\.1\./, ""), interleavedHeads])
        .filter(([name]) => !String(name).startsWith("model."));
      assertEquals(
        marked,
        INTERLEAVED.includes(gguf?.architecture ?? "llama")
          ? [
            ["self_attn.q_proj.weight", 4],
            ["self_attn.q_proj.bias", 4],
            ["self_attn.k_proj.weight", 2],
            ["self_attn.k_proj.bias", 2],
          ]
          : [],
        family,
      );
    }
  });
});

Deno.test("pitfall 2, rotation of GGUF rows: openCheckpoint() reads interleaved biases in Hugging Face order", async () => {
  await withFolder(async (folder) => {
    const model = { ...SHAPES, attentionBias: true };
    await writeGguf(`${folder}/x.gguf`, model);
    const { tensors } = await openCheckpoint(`${folder}/x.gguf`);
    const name = "model.layers.0.self_attn.q_proj.bias";
    const tensor = tensors.get(name);
    assert(tensor);
    assertEquals(readRows(tensor), randomTensors(model).get(name)?.data);
  });
});

Deno.test("openCheckpoint() opens every number format, with the right bytes", async () => {
  const perBlock = { F32: 128, F16: 64, BF16: 64, Q8_0: 34, Q4_0: 18, Q4_1: 20 };
  const worst = { F32: 0, F16: 2e-3, BF16: 2e-2, Q8_0: 0.02, Q4_0: 0.4, Q4_1: 0.3 };
  const model = { hidden: 64, intermediate: 96 };
  for (const type of ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1"] as const) {
    await withFolder(async (folder) => {
      await writeGguf(`${folder}/x.gguf`, model, { type });
      const { tensors } = await openCheckpoint(`${folder}/x.gguf`);
      let end = 0;
      for (const [name, { shape, data }] of randomTensors(model)) {
        const tensor = tensors.get(name);
        assert(tensor);
        if (shape.length === 2) {
          assertEquals([tensor.type, tensor.bytes], [type, data.length / 32 * perBlock[type]]);
        } else assertEquals(tensor.type, "F32");
        assert(worstDifference(readRows(tensor), data) <= worst[type], `${type} ${name}`);
        end = Math.max(end, tensor.offset + tensor.bytes);
      }
      assertEquals(Math.ceil(end / 32) * 32, (await Deno.stat(`${folder}/x.gguf`)).size);
    });
  }
});

Deno.test("openCheckpoint() turns llama3 scaling in GGUF into factors of the same frequencies", async () => {
  const ropeScaling: RopeScaling = {
    kind: "llama3",
    factor: 8,
    lowFrequencyFactor: 1,
    highFrequencyFactor: 4,
    originalContext: 64,
  };
  await withFolder(async (folder) => {
    await writeFolder(folder, { ropeScaling, headDim: 16 });
    await writeGguf(`${folder}/x.gguf`, { ropeScaling, headDim: 16 });
    const hf = (await openCheckpoint(folder)).config;
    const gguf = (await openCheckpoint(`${folder}/x.gguf`)).config;
    assertEquals(hf.ropes[0]?.scaling, ropeScaling);
    assertEquals(gguf.ropes[0]?.scaling.kind, "factors");
    const [a, b] = [inverseFrequencies(hf), inverseFrequencies(gguf)];
    a.forEach((frequency, i) => assert(Math.abs(frequency / (b[i] ?? NaN) - 1) < 1e-6));
  });
});

Deno.test("openCheckpoint() reads linear scaling, old and new, alone and beside factors", async () => {
  await withFolder(async (folder) => {
    const scalingOf = async (model: RandomModel, metadata: GgufOptions["metadata"] = {}) => {
      await writeGguf(`${folder}/x.gguf`, model, { metadata });
      return (await openCheckpoint(`${folder}/x.gguf`)).config.ropes[0]?.scaling;
    };
    const linear: RopeScaling = { kind: "linear", factor: 4 };
    assertEquals(await scalingOf({ ropeScaling: linear }), linear);
    assertEquals(await scalingOf({}, { "llama.rope.scale_linear": 4 }), linear);
    assertEquals(await scalingOf({}, { "llama.rope.scaling.type": "none" }), { kind: "none" });
    const factors: RopeScaling = { kind: "factors", factors: [1, 2, 4, 8] };
    assertEquals(await scalingOf({ ropeScaling: factors }), factors);
    assertEquals(
      await scalingOf({ ropeScaling: factors }, {
        "llama.rope.scaling.type": "linear",
        "llama.rope.scaling.factor": 2,
      }),
      { kind: "factors", factors: [2, 4, 8, 16] },
    );
  });
});

Deno.test("openCheckpoint() takes end tokens and the tokenizer from GGUF metadata", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/x.gguf`;
    await writeGguf(path, {}, {
      metadata: { "tokenizer.ggml.eot_token_id": 9, "tokenizer.ggml.tokens": ["a", "b"] },
    });
    const { config, tokenizer } = await openCheckpoint(path);
    assertEquals(config.eosIds, [1, 9]);
    assertEquals(config.bosId, 0);
    assert(tokenizer.kind === "gguf");
    assertEquals(tokenizer.metadata["tokenizer.ggml.tokens"], ["a", "b"]);
    await writeGguf(path, {}, { metadata: { "tokenizer.ggml.eot_token_id": 1 } });
    assertEquals((await openCheckpoint(path)).config.eosIds, [1]);
  });
});

Deno.test("openCheckpoint() knows GGUF by its first bytes and resolves links", async () => {
  await withFolder(async (folder) => {
    await writeGguf(`${folder}/0123abcd`);
    await Deno.symlink("0123abcd", `${folder}/model.gguf`);
    for (const path of [`${folder}/0123abcd`, `${folder}/model.gguf`]) {
      const { tensors } = await openCheckpoint(path);
      const [first] = tensors.values();
      assertEquals(first?.file, await Deno.realPath(`${folder}/0123abcd`));
    }
  });
});

interface Damage {
  readonly model?: RandomModel;
  readonly write?: GgufOptions;
  readonly damage?: (path: string) => unknown;
  readonly message: string;
}

const LONGROPE: RopeScaling = {
  kind: "longrope",
  shortFactors: [1, 1, 1, 1],
  longFactors: [1, 2, 3, 4],
  originalContext: 32,
  attentionFactor: 1.1,
};

const BAD_FILES: Record<string, Damage> = {
  "of another architecture": {
    write: { metadata: { "general.architecture": "mamba" } },
    message: "its architecture (mamba) is not supported; supported are " +
      FAMILIES.flatMap(({ gguf }) => gguf ? [gguf.architecture] : []).join(", "),
  },
  "without layers": {
    write: { metadata: { "llama.block_count": 0 } },
    message: '"llama.block_count" is 0',
  },
  "with heads that differ between layers": {
    write: { metadata: { "llama.attention.head_count_kv": [2, 1] } },
    message: '"llama.attention.head_count_kv" is [2,1]',
  },
  "with experts": {
    write: { metadata: { "llama.expert_count": 8 } },
    message: "it is a mixture of 8 experts",
  },
  "that is one part of several": {
    write: { metadata: { "split.count": 3 } },
    message: "it is one of 3 parts; merge them",
  },
  "with yarn": {
    write: { metadata: { "llama.rope.scaling.type": "yarn" } },
    message: 'RoPE scaling "yarn" is not supported',
  },
  "with a window of nothing": {
    write: { metadata: { "llama.attention.sliding_window": 0 } },
    message: '"llama.attention.sliding_window" is 0 but must be a whole number of at least 1',
  },
  "with a pattern of windows for another number of layers": {
    model: { family: "gemma3", window: 8 },
    write: { metadata: { "gemma3.attention.sliding_window_pattern": [true, true, false] } },
    message:
      '"gemma3.attention.sliding_window_pattern" is [true,true,false] but must say of 2 layers',
  },
  "with capped logits": {
    model: { family: "gemma3" },
    write: { metadata: { "gemma3.final_logit_softcapping": 30 } },
    message: '"gemma3.final_logit_softcapping" is 30, and logits that are capped are not supported',
  },
  "with long factors alone": {
    model: { family: "phi3", ropeScaling: LONGROPE },
    write: {
      edit: (tensors) => {
        const at = tensors.findIndex(({ name }) => name === "rope_factors_short.weight");
        tensors.splice(at, 1);
      },
    },
    message: "rope_factors_short.weight does not hold 4 numbers above 0",
  },
  "with a fused matrix of too few rows": {
    model: { family: "phi3" },
    write: {
      edit: (tensors) => {
        const at = tensors.findIndex(({ name }) => name === "blk.1.attn_qkv.weight");
        const tensor = tensors[at];
        if (!tensor) throw new RangeError("no fused matrix");
        tensors[at] = { ...tensor, shape: [48, 32], data: tensor.data.subarray(0, 48 * 32) };
      },
    },
    message: 'tensor "model.layers.1.self_attn.qkv_proj.weight" has shape [48, 32], but the ' +
      "settings ask for [64, 32]",
  },
  "with partly rotated heads": {
    write: { metadata: { "llama.rope.dimension_count": 4 } },
    message: '"llama.rope.dimension_count" is 4, and only the head size (8) is supported',
  },
  "with values of another size than keys": {
    write: { metadata: { "llama.attention.value_length": 16 } },
    message: '"llama.attention.value_length" is 16',
  },
  "with too few RoPE factors": {
    model: { ropeScaling: { kind: "factors", factors: [1, 2] } },
    message: "rope_freqs.weight does not hold 4 numbers above 0",
  },
  "with too many RoPE factors": {
    model: { ropeScaling: { kind: "factors", factors: Array(5000).fill(1) } },
    message: 'tensor "rope_freqs.weight" has shape [5000]',
  },
  "without embeddings": {
    write: { edit: (tensors) => tensors.splice(0, 1) },
    message: 'tensor "model.embed_tokens.weight" is missing',
  },
  "without a tensor of a layer": {
    write: {
      edit: (tensors) =>
        tensors.splice(tensors.findIndex(({ name }) => name === "blk.1.ffn_up.weight"), 1),
    },
    message: 'tensor "model.layers.1.mlp.up_proj.weight" is missing',
  },
  "with a tensor of another shape": {
    write: { metadata: { "llama.feed_forward_length": 50 } },
    message: "has shape [64, 32], but the settings ask for [50, 32]",
  },
  "with a tensor that the architecture does not have": {
    write: {
      edit: (tensors) =>
        tensors.push({
          name: "blk.0.attn_sinks.weight",
          shape: [4],
          type: "F32",
          data: new Float32Array(4),
        }),
    },
    message: 'tensor "blk.0.attn_sinks.weight" is not part of a llama model',
  },
  "that is truncated": {
    damage: async (path) => await Deno.truncate(path, (await Deno.stat(path)).size - 200),
    message: "it is truncated, fetch it again",
  },
  "of random bytes behind the right start": {
    damage: (path) =>
      Deno.writeFile(
        path,
        Uint8Array.from(
          { length: 5000 },
          (_, i) => i < 4 ? "GGUF".charCodeAt(i) : (i * i * 31) >> 3,
        ),
      ),
    message: "Cannot read",
  },
};

for (const [what, { model, write, damage, message }] of Object.entries(BAD_FILES)) {
  Deno.test(`openCheckpoint() refuses a GGUF file ${what}, naming it`, async () => {
    await withFolder(async (folder) => {
      const path = `${folder}/x.gguf`;
      await writeGguf(path, model, write);
      await damage?.(path);
      const error = await assertRejects(() => openCheckpoint(path), CheckpointError, message);
      assert(error.message.includes(path), error.message);
    });
  });
}

Deno.test("pitfall 17, capability at construction: openCheckpoint() refuses a type that would not run", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/x.gguf`;
    await writeGguf(path);
    for (const [type, label] of [[16, "IQ2_XXS"], [1000, "number 1000"]] as const) {
      await patchGguf(path, "blk.0.ffn_up.weight", { type });
      await assertRejects(
        () => openCheckpoint(path),
        CheckpointError,
        `tensor "blk.0.ffn_up.weight" has type ${label}, and only F32, F16, BF16`,
      );
    }
  });
});

Deno.test("openCheckpoint() refuses quantised rows that are no whole blocks", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/x.gguf`;
    await writeGguf(path, { hidden: 48, intermediate: 96 });
    await patchGguf(path, "token_embd.weight", { type: 8 });
    await assertRejects(
      () => openCheckpoint(path),
      CheckpointError,
      'the rows of tensor "token_embd.weight" ([80, 48]) do not divide into whole blocks of Q8_0',
    );
  });
});

Deno.test("openCheckpoint() refuses a GGUF file whose tensors overlap, naming both", async () => {
  await withFolder(async (folder) => {
    const path = `${folder}/x.gguf`;
    await writeGguf(path);
    await patchGguf(path, "blk.0.ffn_up.weight", { moveBy: -32 });
    await assertRejects(
      () => openCheckpoint(path),
      CheckpointError,
      'tensors "model.layers.0.mlp.gate_proj.weight" and "model.layers.0.mlp.up_proj.weight" overlap',
    );
  });
});
