import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Checkpoint } from "../../../../runtime/checkpoint/checkpoint.ts";
import type { ModelFamily } from "../../../../runtime/checkpoint/families/family.ts";
import { llama } from "../../../../runtime/checkpoint/families/llama.ts";
import { FAMILIES } from "../../../../runtime/checkpoint/families/mod.ts";
import { openCheckpoint } from "../../../../runtime/checkpoint/open.ts";
import { readRows } from "../../../../runtime/checkpoint/read_rows.ts";
import { tensorOf } from "../../../../runtime/checkpoint/tensor_of.ts";
import { CheckpointError } from "../../../../runtime/errors.ts";
import { openHostEngine } from "../../../../runtime/engine/host/open_host_engine.ts";
import { stepModel } from "../../../../runtime/weights/step_model.ts";
import { assertClose } from "../../../_close.ts";
import { writeFolder, writeGguf } from "../../../_random_checkpoint.ts";
import { source, sourceFiles } from "../../../_source_tree.ts";
import { newSequence } from "../../../_test_model.ts";
import { withFolder } from "../../../_temp_folder.ts";

const FOLDER = "runtime/checkpoint/families/";

/** Llama under other names, with one thing more: norms of each head, which Llama has not. */
const alpaca: ModelFamily = {
  ...llama,
  name: "alpaca",
  title: "Alpaca",
  huggingFace: {
    modelType: "alpaca_text",
    architecture: "AlpacaForCausalLM",
    defaults: { ...llama.huggingFace.defaults, rope_theta: 5000, head_dim: 8 },
    window: { size: "window_tokens", from: "first_window_layer" },
  },
  gguf: { architecture: "alpaca", interleaved: false },
  layer: {
    ...llama.layer,
    query: { ...llama.layer.query, huggingFace: "attention.wq", gguf: "wq" },
    queryNorm: { huggingFace: "attention.query_norm", gguf: "wq_norm", shape: ["headDim"] },
    keyNorm: { huggingFace: "attention.key_norm", gguf: "wk_norm", shape: ["headDim"] },
  },
};

/** Random weights that a model of either family can have: sizes are those of `_random_checkpoint.ts`. */
const MODEL = { family: "qwen3", ropeTheta: 5000, tied: true } as const;
const RENAMED: readonly (readonly [string, string])[] = [
  ["self_attn.q_proj", "attention.wq"],
  ["self_attn.q_norm", "attention.query_norm"],
  ["self_attn.k_norm", "attention.key_norm"],
  ["attn_q_norm", "wq_norm"],
  ["attn_k_norm", "wk_norm"],
  ["attn_q.", "wq."],
];
const SETTINGS = {
  architectures: ["AlpacaForCausalLM"],
  model_type: "alpaca_text",
  head_dim: undefined,
  rope_parameters: undefined,
  window_tokens: null,
};
const METADATA = {
  "general.architecture": "alpaca",
  "alpaca.block_count": 2,
  "alpaca.context_length": 256,
  "alpaca.embedding_length": 32,
  "alpaca.feed_forward_length": 64,
  "alpaca.attention.head_count": 4,
  "alpaca.attention.head_count_kv": 2,
  "alpaca.attention.layer_norm_rms_epsilon": 1e-5,
  "alpaca.rope.freq_base": 5000,
};

function renamed(name: string): string {
  return RENAMED.reduce((text, [from, to]) => text.replace(from, to), name);
}

async function writeAlpaca(folder: string, settings: Record<string, unknown> = {}): Promise<void> {
  await writeFolder(folder, MODEL, {
    settings: { ...SETTINGS, ...settings },
    edit(tensors) {
      const entries = [...tensors].map(([name, tensor]) => [renamed(name), tensor] as const);
      tensors.clear();
      for (const [name, tensor] of entries) tensors.set(name, tensor);
    },
  });
}

/** Logits after a few tokens. */
async function logitsOf(checkpoint: Checkpoint, home: string): Promise<Float32Array> {
  const { config, family } = checkpoint;
  const model = await stepModel(checkpoint, {
    precision: "fp32",
    home,
  });
  await using opened = await openHostEngine(model, {
    config,
    threads: 1,
    readOutput: (layer) => readRows(tensorOf(checkpoint, family.layer.attentionOutput, layer)),
  });
  const sequence = newSequence(opened.engine);
  using _cache = sequence.cache;
  return (await opened.engine.advance(sequence, { ids: [3, 14, 15, 9, 2, 6] })).logits;
}

Deno.test("a family is one file: openCheckpoint() and the engine run one that is only data", async () => {
  await withFolder(async (folder) => {
    const [known, folders] = [`${folder}/known`, `${folder}/alpaca`];
    for (const path of [known, folders]) await Deno.mkdir(path);
    await writeFolder(known, MODEL);
    await writeAlpaca(folders);
    await writeGguf(`${folder}/x.gguf`, MODEL, {
      metadata: METADATA,
      edit: (tensors) =>
        tensors.splice(
          0,
          tensors.length,
          ...tensors.map((tensor) => ({ ...tensor, name: renamed(tensor.name) })),
        ),
    });
    const expected = await logitsOf(await openCheckpoint(known), folder);
    for (const path of [folders, `${folder}/x.gguf`]) {
      const checkpoint = await openCheckpoint(path, { families: [alpaca] });
      assertEquals(checkpoint.config.family, "alpaca");
      assertEquals(checkpoint.config.headDim, 8);
      assertEquals(checkpoint.config.ropes[0]?.theta, 5000);
      assert(checkpoint.tensors.has("model.layers.1.attention.wq.weight"));
      assertClose(await logitsOf(checkpoint, folder), expected, { absolute: 1e-5 }, path);
    }
  });
});

Deno.test("openCheckpoint() refuses in a family's own names what that family has not", async () => {
  await withFolder(async (folder) => {
    const refused = (message: string, families?: readonly ModelFamily[]) =>
      assertRejects(
        () => openCheckpoint(folder, families ? { families } : {}),
        CheckpointError,
        message,
      );
    await writeAlpaca(folder);
    await refused("(AlpacaForCausalLM, model type alpaca_text) is not supported");
    await refused("supported are AlpacaForCausalLM", [{
      ...alpaca,
      huggingFace: { ...alpaca.huggingFace, modelType: "alpaca" },
    }]);
    const { queryNorm: _, ...layer } = alpaca.layer;
    await refused('"model.layers.0.attention.query_norm.weight" is not part of a alpaca model', [{
      ...alpaca,
      layer,
    }]);
    const needsBias = { ...alpaca.layer.up, bias: "required" } as const;
    await refused('"model.layers.0.mlp.up_proj.bias" is missing', [{
      ...alpaca,
      layer: { ...alpaca.layer, up: needsBias },
    }]);
    await writeAlpaca(folder, { window_tokens: 64 });
    const layerKinds = async () =>
      (await openCheckpoint(folder, { families: [alpaca] })).config.layerKinds;
    assertEquals(await layerKinds(), [{ window: 64, rope: 0 }, { window: 64, rope: 0 }]);
    await writeAlpaca(folder, { window_tokens: 64, first_window_layer: 2 });
    assertEquals(await layerKinds(), [{ rope: 0 }, { rope: 0 }]);
  });
});

Deno.test("FAMILIES holds every file of the folder, each under names of its own", () => {
  const files = sourceFiles(FOLDER).map((file) => file.slice(FOLDER.length, -".ts".length));
  const names = FAMILIES.map(({ name }) => name);
  assertEquals(files.filter((file) => file !== "family" && file !== "mod"), [...names].sort());
  for (
    const own of [
      names,
      FAMILIES.map(({ title }) => title),
      FAMILIES.map(({ huggingFace }) => huggingFace.modelType),
      FAMILIES.map(({ huggingFace }) => huggingFace.architecture),
      FAMILIES.flatMap(({ gguf }) => gguf ? [gguf.architecture] : []),
    ]
  ) assertEquals(new Set(own).size, own.length, own.join());
});

Deno.test("README.md names the families that can be run", () => {
  const titles = new Intl.ListFormat("en-GB").format(FAMILIES.map(({ title }) => title));
  const readme = source("README.md").replaceAll(/\s+/g, " ");
  assert(readme.includes(`Families ${titles},`), `README.md must say "Families ${titles},"`);
});
