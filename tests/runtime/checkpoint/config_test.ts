import { assertEquals, assertThrows } from "@std/assert";
import { CheckpointError } from "../../../runtime/errors.ts";
import { globalLayers } from "../../../runtime/checkpoint/layer_kinds.ts";
import { parseConfig } from "../../../runtime/checkpoint/config.ts";
import { FAMILIES } from "../../../runtime/checkpoint/families/mod.ts";

const LLAMA = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  hidden_size: 64,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  num_hidden_layers: 3,
  intermediate_size: 96,
  vocab_size: 320,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  hidden_act: "silu",
  tie_word_embeddings: false,
  eos_token_id: 1,
};
const MISTRAL = {
  ...LLAMA,
  model_type: "mistral",
  architectures: ["MistralForCausalLM"],
  max_position_embeddings: 8192,
};
const QWEN2 = { ...LLAMA, model_type: "qwen2", architectures: ["Qwen2ForCausalLM"] };
const QWEN3 = { ...LLAMA, model_type: "qwen3", architectures: ["Qwen3ForCausalLM"] };

const CONTEXT = { path: "some/config.json", hasOutput: true };

function parse(settings: Record<string, unknown>, generation?: Record<string, unknown>) {
  return parseConfig(settings, { ...CONTEXT, ...(generation ? { generation } : {}) });
}

Deno.test("parseConfig() reads a Llama config", () => {
  assertEquals(parse({ ...LLAMA, bos_token_id: 0, rope_theta: 500000 }), {
    family: "llama",
    layers: 3,
    hidden: 64,
    heads: 4,
    kvHeads: 2,
    headDim: 16,
    intermediate: 96,
    vocabulary: 320,
    context: 512,
    rmsEpsilon: 1e-5,
    ropes: [{ theta: 500000, scaling: { kind: "none" } }],
    layerKinds: [{ rope: 0 }, { rope: 0 }, { rope: 0 }],
    activation: "silu",
    embeddingScale: 1,
    attentionScale: 0.25,
    tied: false,
    eosIds: [1],
    bosId: 0,
  });
});

Deno.test("parseConfig() knows the families by model type, by architecture or by both", () => {
  for (const settings of [LLAMA, MISTRAL, QWEN2, QWEN3]) {
    const { model_type, architectures, ...rest } = settings;
    const full = { ...rest, sliding_window: null };
    const expected = parse({ ...full, model_type, architectures });
    assertEquals(expected.family, model_type);
    assertEquals(parse({ ...full, model_type }), expected);
    assertEquals(parse({ ...full, architectures }), expected);
  }
});

Deno.test("parseConfig() fills in what transformers assumes", () => {
  const { num_key_value_heads: _, rms_norm_eps: __, hidden_act: ___, ...rest } = LLAMA;
  const config = parse(rest);
  assertEquals(config.kvHeads, 4);
  assertEquals(config.rmsEpsilon, 1e-6);
  assertEquals(config.ropes[0]?.theta, 10_000);
  assertEquals("bosId" in config, false);
  assertEquals(parse(QWEN3).headDim, 128);
  assertEquals(parse({ ...LLAMA, head_dim: null }).headDim, 16);
  assertEquals(parse({ ...LLAMA, head_dim: 24 }).headDim, 24);
});

Deno.test("parseConfig() takes tying from the settings, or from the tensors if they are silent", () => {
  const { tie_word_embeddings: _, ...silent } = LLAMA;
  assertEquals(parse({ ...LLAMA, tie_word_embeddings: true }).tied, true);
  assertEquals(parseConfig(silent, { path: "x", hasOutput: true }).tied, false);
  assertEquals(parseConfig(silent, { path: "x", hasOutput: false }).tied, true);
  assertEquals(parseConfig(LLAMA, { path: "x", hasOutput: false }).tied, false);
});

Deno.test("parseConfig() prefers the ids of generation_config.json", () => {
  assertEquals(parse(LLAMA, { eos_token_id: [7, 8], bos_token_id: 5 }).eosIds, [7, 8]);
  assertEquals(parse(LLAMA, { eos_token_id: [7, 8], bos_token_id: 5 }).bosId, 5);
  assertEquals(parse(LLAMA, { temperature: 1 }).eosIds, [1]);
  assertEquals(parse({ ...LLAMA, eos_token_id: [3, 4] }).eosIds, [3, 4]);
  assertEquals(parse({ ...LLAMA, eos_token_id: null }).eosIds, []);
});

const LLAMA3 = {
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 128,
};

Deno.test("parseConfig() reads RoPE scaling in the old and the new form alike", () => {
  const kinds = [
    [{ type: "default" }, { kind: "none" }, 512],
    [{ type: "linear", factor: 2.5 }, { kind: "linear", factor: 2.5 }, 1280],
    [{ type: "dynamic", factor: 4 }, { kind: "dynamic", factor: 4, originalContext: 512 }, 2048],
    [{ type: "llama3", ...LLAMA3 }, {
      kind: "llama3",
      factor: 8,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalContext: 128,
    }, 512],
  ] as const;
  for (const [scaling, expected, context] of kinds) {
    const { type, ...values } = scaling;
    for (
      const form of [
        { rope_theta: 5e5, rope_scaling: scaling },
        { rope_theta: 5e5, rope_scaling: { rope_type: type, ...values } },
        { rope_parameters: { rope_theta: 5e5, rope_type: type, ...values } },
      ]
    ) {
      const config = parse({ ...LLAMA, ...form });
      assertEquals(config.ropes, [{ theta: 5e5, scaling: expected }]);
      assertEquals(config.context, context, type);
    }
  }
  assertEquals(parse({ ...LLAMA, rope_scaling: null }).ropes[0]?.scaling, { kind: "none" });
});

Deno.test("parseConfig() does not stretch a context that is stated as stretched already", () => {
  const rope_scaling = { type: "linear", factor: 4, original_max_position_embeddings: 128 };
  assertEquals(parse({ ...LLAMA, rope_scaling }).context, 512);
});

Deno.test("parseConfig() accepts windows that no token feels", () => {
  const accepted = [
    { ...MISTRAL, sliding_window: null },
    { ...MISTRAL, sliding_window: 8192 },
    { ...MISTRAL, max_position_embeddings: 4096 },
    { ...QWEN2, sliding_window: 8, use_sliding_window: false },
    { ...QWEN2, sliding_window: 8 },
    { ...QWEN2, sliding_window: 512, use_sliding_window: true, max_window_layers: 0 },
    { ...QWEN2, sliding_window: 8, use_sliding_window: true, max_window_layers: 3 },
    {
      ...QWEN3,
      sliding_window: 8,
      use_sliding_window: true,
      max_window_layers: 0,
      layer_types: ["full_attention", "full_attention", "full_attention"],
    },
    { ...LLAMA, sliding_window: 8 },
  ];
  for (const settings of accepted) assertEquals(globalLayers(parse(settings)).length, 3);
});

Deno.test("parseConfig() knows which layers slide", () => {
  const windows = (settings: Record<string, unknown>) =>
    parse(settings).layerKinds.map(({ window }) => window);
  assertEquals(windows({ ...MISTRAL, sliding_window: 1024 }), [1024, 1024, 1024]);
  // transformers assumes 4096 where the setting is absent.
  assertEquals(windows(MISTRAL), [4096, 4096, 4096]);
  const slides = { sliding_window: 8, use_sliding_window: true };
  assertEquals(windows({ ...QWEN2, ...slides, max_window_layers: 2 }), [undefined, undefined, 8]);
  assertEquals(
    windows({
      ...QWEN3,
      ...slides,
      layer_types: ["full_attention", "sliding_attention", "full_attention"],
    }),
    [undefined, 8, undefined],
  );
});

const REFUSED: Record<string, { settings: Record<string, unknown>; message: string }> = {
  "another architecture": {
    settings: { ...LLAMA, model_type: "mamba", architectures: ["MambaForCausalLM"] },
    message: "its architecture (MambaForCausalLM, model type mamba) is not supported; " +
      `supported are ${
        new Intl.ListFormat("en-GB").format(
          FAMILIES.map(({ huggingFace }) => huggingFace.architecture),
        )
      }`,
  },
  "a classifier of a supported family": {
    settings: { ...LLAMA, architectures: ["LlamaForSequenceClassification"] },
    message: "LlamaForSequenceClassification",
  },
  "no architecture": {
    settings: { ...LLAMA, model_type: undefined, architectures: undefined },
    message: "its architecture (not stated) is not supported",
  },
  "another activation": {
    settings: { ...LLAMA, hidden_act: "gelu" },
    message: '"hidden_act" is "gelu", and only "silu" and "gelu_pytorch_tanh" are supported',
  },
  "quantised weights": {
    settings: { ...LLAMA, quantization_config: { quant_method: "gptq" } },
    message: "its weights are quantised",
  },
  "a missing size": {
    settings: { ...LLAMA, hidden_size: undefined },
    message: '"hidden_size" is missing',
  },
  "a size of 0": {
    settings: { ...LLAMA, num_hidden_layers: 0 },
    message: '"num_hidden_layers" is 0 but must be a whole number of at least 1',
  },
  "a fractional size": { settings: { ...LLAMA, vocab_size: 3.5 }, message: '"vocab_size" is 3.5' },
  "a size as text": {
    settings: { ...LLAMA, intermediate_size: "96" },
    message: '"intermediate_size" is "96"',
  },
  "a negative epsilon": {
    settings: { ...LLAMA, rms_norm_eps: -1 },
    message: '"rms_norm_eps" is -1 but must be a number above 0',
  },
  "a flag as text": {
    settings: { ...LLAMA, tie_word_embeddings: "no" },
    message: '"tie_word_embeddings" is "no" but must be true or false',
  },
  "token ids as text": {
    settings: { ...LLAMA, eos_token_id: ["</s>"] },
    message: '"eos_token_id" is ["</s>"] but must be a token id or a list of them',
  },
  "heads that cannot be grouped": {
    settings: { ...LLAMA, num_key_value_heads: 3 },
    message: "4 attention heads cannot share 3 key-value heads evenly",
  },
  "heads that do not divide the hidden size": {
    settings: { ...LLAMA, hidden_size: 65 },
    message: "the head size is 16.25",
  },
  "an odd head size": {
    settings: { ...LLAMA, head_dim: 15 },
    message: "the head size is 15, but rotating needs an even whole number",
  },
  "yarn": {
    settings: { ...LLAMA, rope_scaling: { rope_type: "yarn", factor: 4 } },
    message:
      'RoPE scaling "yarn" is not supported, only default, linear, dynamic, llama3 and longrope',
  },
  "longrope that does not say where it begins": {
    settings: { ...LLAMA, rope_parameters: { rope_type: "longrope", rope_theta: 1e4 } },
    message: '"original_max_position_embeddings" is missing',
  },
  "longrope without factors": {
    settings: {
      ...LLAMA,
      rope_scaling: { type: "su", original_max_position_embeddings: 64, short_factor: [1] },
    },
    message: '"short_factor" is not a list of 8 numbers above 0',
  },
  "linear scaling without a factor": {
    settings: { ...LLAMA, rope_scaling: { type: "linear" } },
    message: '"factor" is missing',
  },
  "a factor below 1": {
    settings: { ...LLAMA, rope_scaling: { type: "dynamic", factor: 0.5 } },
    message: '"factor" is 0.5 but must be at least 1',
  },
  "llama3 scaling without its original context": {
    settings: {
      ...LLAMA,
      rope_scaling: { rope_type: "llama3", ...LLAMA3, original_max_position_embeddings: undefined },
    },
    message: '"original_max_position_embeddings" is missing',
  },
  "more layers than any model has": {
    settings: { ...LLAMA, num_hidden_layers: 1_000_000_000 },
    message: '"num_hidden_layers" is 1000000000, and no model has more than 65536 layers',
  },
  "RoPE scaling that is no object": {
    settings: { ...LLAMA, rope_scaling: "linear" },
    message: '"rope_scaling" is not an object',
  },
  "RoPE that differs between layers": {
    settings: { ...LLAMA, rope_parameters: { full_attention: { rope_type: "default" } } },
    message: '"rope_parameters" differs between layers',
  },
  "partial rotation": {
    settings: { ...LLAMA, partial_rotary_factor: 0.5 },
    message: '"partial_rotary_factor" is 0.5',
  },
  "partial rotation in the new form": {
    settings: { ...LLAMA, rope_parameters: { partial_rotary_factor: 0.25 } },
    message: '"partial_rotary_factor" is 0.25',
  },
};

for (const [what, { settings, message }] of Object.entries(REFUSED)) {
  Deno.test(`parseConfig() refuses ${what}, naming the file`, () => {
    const error = assertThrows(() => parse(settings), CheckpointError, message);
    assertEquals(error.message.startsWith("Cannot use some/config.json: "), true, error.message);
  });
}

Deno.test("pitfall 2, models that rotate otherwise: parseConfig() refuses half-rotated heads and unknown scaling", () => {
  for (
    const [settings, message] of [
      [{ partial_rotary_factor: 0.5 }, "only whole heads (1) can be rotated"],
      [{ rope_scaling: { rope_type: "yarn", factor: 4 } }, 'RoPE scaling "yarn" is not supported'],
      [{ rope_parameters: { full_attention: { rope_theta: 1 } } }, "differs between layers"],
    ] as const
  ) {
    const context = { path: "config.json", hasOutput: true };
    assertThrows(() => parseConfig({ ...LLAMA, ...settings }, context), CheckpointError, message);
  }
});
