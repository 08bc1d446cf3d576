import { assert, assertEquals, assertRejects } from "@std/assert";
import { openCheckpoint } from "../../../runtime/checkpoint/open.ts";
import { readRows } from "../../../runtime/checkpoint/read_rows.ts";
import { writeSafetensors } from "../../../runtime/checkpoint/safetensors.ts";
import { CheckpointError } from "../../../runtime/errors.ts";
import { type FolderOptions, randomTensors, writeFolder } from "../../_random_checkpoint.ts";
import { withFolder } from "../../_temp_folder.ts";

const FIXTURES = new URL("../../fixtures/", import.meta.url).pathname;
const QUERY = "model.layers.1.self_attn.q_proj.weight";

Deno.test("openCheckpoint() opens the folders that transformers wrote", async () => {
  const facts = [
    ["tiny-llama", "llama", 2, 16, 27 + 3],
    ["tiny-llama31", "llama", 2, 16, 27 + 2],
    ["tiny-mistral", "mistral", 1, 16, 27 + 3],
    ["tiny-qwen2", "qwen2", 4, 16, 27 + 3 + 9],
    ["tiny-qwen3", "qwen3", 2, 32, 27 + 3 + 6],
  ] as const;
  for (const [name, family, kvHeads, headDim, count] of facts) {
    const { config, tensors, tokenizer, path } = await openCheckpoint(FIXTURES + name);
    assertEquals(config.family, family);
    assertEquals(config.kvHeads, kvHeads);
    assertEquals(config.headDim, headDim);
    assertEquals(config.tied, name === "tiny-llama31");
    assertEquals(config.eosIds, [1]);
    // Nine tensors in each of three layers; embedding, norm, output; biases or norms of heads.
    assertEquals(tensors.size, count, name);
    assertEquals(tokenizer.kind, "absent");
    assertEquals(path, FIXTURES + name);
    const bytes = [...tensors.values()].reduce((sum, tensor) => sum + tensor.bytes, 0);
    const file = await Deno.stat(`${FIXTURES}${name}/model.safetensors`);
    assert(file.size - bytes < 8192, `${name}: ${bytes} of ${file.size} bytes`);
  }
});

Deno.test("openCheckpoint() finds every weight in one file or in shards, in every float format", async () => {
  const model = { family: "qwen2", tied: true, heads: 6, kvHeads: 3, headDim: 12 } as const;
  const expected = randomTensors(model);
  for (const dtype of ["F32", "F16", "BF16"] as const) {
    for (const shards of [1, 3]) {
      await withFolder(async (folder) => {
        await writeFolder(folder, model, { dtype, shards });
        const { tensors } = await openCheckpoint(folder);
        assertEquals([...tensors.keys()].sort(), [...expected.keys()].sort());
        assertEquals(new Set([...tensors.values()].map(({ file }) => file)).size, shards);
        for (const [name, { data, shape }] of expected) {
          const tensor = tensors.get(name);
          assert(tensor);
          assertEquals([tensor.type, tensor.shape], [dtype, shape]);
          const worst = readRows(tensor).reduce(
            (most, x, i) => Math.max(most, Math.abs(x - (data[i] ?? NaN))),
            0,
          );
          assert(worst <= { F32: 0, F16: 2e-3, BF16: 2e-2 }[dtype], `${name} differs by ${worst}`);
        }
      });
    }
  }
});

Deno.test("openCheckpoint() reads biases that the settings do not mention", async () => {
  await withFolder(async (folder) => {
    await writeFolder(folder, { attentionBias: true, mlpBias: true });
    const { tensors } = await openCheckpoint(folder);
    assertEquals(tensors.get("model.layers.1.self_attn.o_proj.bias")?.shape, [32]);
    assertEquals(tensors.get("model.layers.1.mlp.up_proj.bias")?.shape, [64]);
  });
});

Deno.test("openCheckpoint() follows the links of a Hugging Face cache to the real files", async () => {
  await withFolder(async (folder) => {
    const [blobs, snapshot] = [`${folder}/blobs`, `${folder}/snapshots/abc`];
    await Deno.mkdir(blobs);
    await Deno.mkdir(snapshot, { recursive: true });
    await writeFolder(blobs);
    for (const name of ["config.json", "model.safetensors"]) {
      await Deno.symlink(`../../blobs/${name}`, `${snapshot}/${name}`);
    }
    const { tensors } = await openCheckpoint(snapshot);
    assertEquals(tensors.get(QUERY)?.file, await Deno.realPath(`${blobs}/model.safetensors`));
  });
});

Deno.test("openCheckpoint() leaves out tensors that the model does not use", async () => {
  await withFolder(async (folder) => {
    await writeFolder(folder, { tied: true }, {
      edit(tensors) {
        const one = { shape: [1], data: Float32Array.of(1) };
        tensors.set("model.layers.0.self_attn.rotary_emb.inv_freq", one);
        tensors.set("model.layers.7.eh_proj.weight", one);
        tensors.set("lm_head.weight", one);
      },
    });
    assertEquals((await openCheckpoint(folder)).tensors.size, randomTensors({ tied: true }).size);
  });
});

Deno.test("openCheckpoint() opens a .safetensors file with its config beside it", async () => {
  await withFolder(async (folder) => {
    await writeFolder(folder);
    await Deno.rename(`${folder}/model.safetensors`, `${folder}/other.safetensors`);
    const checkpoint = await openCheckpoint(`${folder}/other.safetensors`);
    assertEquals(checkpoint.path, `${folder}/other.safetensors`);
    assertEquals(checkpoint.tensors.size, randomTensors().size);
    await assertRejects(() => openCheckpoint(folder), CheckpointError, "it has neither");
  });
});

interface Damage {
  readonly write?: FolderOptions;
  readonly damage?: (folder: string) => unknown;
  readonly message: string;
}

const SHARD = "model-00002-of-00003.safetensors";
const INDEX = "model.safetensors.index.json";

const DAMAGES: Record<string, Damage> = {
  "without config.json": {
    damage: (folder) => Deno.remove(`${folder}/config.json`),
    message: "it has no config.json",
  },
  "with a config.json that is no JSON": {
    damage: (folder) => Deno.writeTextFile(`${folder}/config.json`, "{,"),
    message: "config.json: it is not valid JSON",
  },
  "with a config.json that is a list": {
    damage: (folder) => Deno.writeTextFile(`${folder}/config.json`, "[]"),
    message: "does not hold a JSON object",
  },
  "without weights": {
    damage: (folder) => Deno.remove(`${folder}/model.safetensors`),
    message: `it has neither model.safetensors nor ${INDEX}; only safetensors weights are read`,
  },
  "with a link to weights that are gone": {
    damage: async (folder) => {
      await Deno.remove(`${folder}/model.safetensors`);
      await Deno.symlink("../gone", `${folder}/model.safetensors`);
    },
    message: "it has neither model.safetensors",
  },
  "with truncated weights": {
    damage: async (folder) => {
      const { size } = await Deno.stat(`${folder}/model.safetensors`);
      await Deno.truncate(`${folder}/model.safetensors`, size - 1);
    },
    message: "lies at bytes",
  },
  "without a shard": {
    write: { shards: 3 },
    damage: (folder) => Deno.remove(`${folder}/${SHARD}`),
    message: `shard ${SHARD} of ${INDEX} is missing`,
  },
  "whose index leads out of the folder": {
    write: { shards: 3 },
    damage: (folder) =>
      Deno.writeTextFile(
        `${folder}/${INDEX}`,
        JSON.stringify({ weight_map: { x: "../secret.safetensors" } }),
      ),
    message: '"weight_map.x" must be the name of a .safetensors file in the same folder, ' +
      'got "../secret.safetensors"',
  },
  "whose index maps nothing": {
    write: { shards: 3 },
    damage: (folder) => Deno.writeTextFile(`${folder}/${INDEX}`, "{}"),
    message: '"weight_map" must be an object, got nothing',
  },
  "whose index names a tensor that no shard has": {
    write: { shards: 3 },
    damage: (folder) =>
      Deno.writeTextFile(
        `${folder}/${INDEX}`,
        JSON.stringify({ weight_map: { "lm_head.bias": SHARD } }),
      ),
    message: `${INDEX} says that ${SHARD} holds tensor "lm_head.bias", but it does not`,
  },
  "with one tensor in two shards": {
    write: { shards: 3 },
    damage: (folder) =>
      Deno.copyFile(`${folder}/${SHARD}`, `${folder}/${SHARD.replace("2-", "1-")}`),
    message: "is also in",
  },
  "without a tensor of the last layer": {
    write: { edit: (tensors) => tensors.delete(QUERY) },
    message: `tensor "${QUERY}" is missing`,
  },
  "with fewer layers than its settings say": {
    write: { settings: { num_hidden_layers: 65_000 } },
    message: 'tensor "model.layers.2.input_layernorm.weight" is missing',
  },
  "without the output matrix of an untied model": {
    write: { edit: (tensors) => tensors.delete("lm_head.weight") },
    message: 'tensor "lm_head.weight" is missing',
  },
  "with a tensor of another shape": {
    write: { settings: { num_key_value_heads: 4 } },
    message: 'tensor "model.layers.0.self_attn.k_proj.weight" has shape [16, 32], ' +
      "but the settings ask for [32, 32]",
  },
  "with a bias in the first layer only": {
    write: {
      edit: (tensors) =>
        tensors.set("model.layers.0.mlp.up_proj.bias", {
          shape: [64],
          data: new Float32Array(64),
        }),
    },
    message: 'tensor "model.layers.1.mlp.up_proj.bias" is missing',
  },
  "with a bias in the last layer only": {
    write: {
      edit: (tensors) =>
        tensors.set("model.layers.1.mlp.up_proj.bias", {
          shape: [64],
          data: new Float32Array(64),
        }),
    },
    message: '"model.layers.1.mlp.up_proj.bias" is there but "model.layers.0.mlp.up_proj.bias"',
  },
  "with tensors of another architecture in its layers": {
    write: {
      edit: (tensors) =>
        tensors.set("model.layers.0.self_attn.q_norm.weight", {
          shape: [8],
          data: new Float32Array(8),
        }),
    },
    message: 'tensor "model.layers.0.self_attn.q_norm.weight" is not part of a llama model',
  },
  "of another architecture": {
    write: { settings: { architectures: ["PhiForCausalLM"], model_type: "phi" } },
    message: "its architecture (PhiForCausalLM, model type phi) is not supported",
  },
  "with integer weights": {
    damage: (folder) =>
      writeSafetensors(
        `${folder}/model.safetensors`,
        Object.fromEntries(
          [...randomTensors()].map(([name, { shape, data }]) => [name, {
            shape,
            data: Int32Array.from(data),
          }]),
        ),
      ),
    message: "has type I32, and safetensors weights must be F32, F16 or BF16",
  },
};

for (const [what, { write, damage, message }] of Object.entries(DAMAGES)) {
  Deno.test(`openCheckpoint() refuses a folder ${what}, naming it`, async () => {
    await withFolder(async (folder) => {
      await writeFolder(folder, {}, write);
      await damage?.(folder);
      const error = await assertRejects(() => openCheckpoint(folder), CheckpointError, message);
      assert(error.message.includes(folder), error.message);
    });
  });
}

Deno.test("openCheckpoint() refuses Qwen2 without its biases and Qwen3 without its norms", async () => {
  for (const [family, name] of [["qwen2", "k_proj.bias"], ["qwen3", "k_norm.weight"]] as const) {
    await withFolder(async (folder) => {
      const tensor = `model.layers.0.self_attn.${name}`;
      await writeFolder(folder, { family }, { edit: (tensors) => tensors.delete(tensor) });
      await assertRejects(() => openCheckpoint(folder), CheckpointError, `"${tensor}" is missing`);
    });
  }
});
