import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseConfig } from "../../../runtime/checkpoint/config.ts";
import { globalLayers } from "../../../runtime/checkpoint/layer_kinds.ts";
import { CheckpointError } from "../../../runtime/errors.ts";

type Settings = Readonly<Record<string, unknown>>;

function parse(settings: Settings) {
  return parseConfig(settings, { path: "some/config.json", hasOutput: false });
}

/** What the hub's google/gemma-3-270m states that matters here. */
const GEMMA: Settings = {
  architectures: ["Gemma3ForCausalLM"],
  model_type: "gemma3_text",
  hidden_size: 640,
  intermediate_size: 2048,
  num_hidden_layers: 18,
  num_attention_heads: 4,
  num_key_value_heads: 1,
  head_dim: 256,
  vocab_size: 262_144,
  max_position_embeddings: 32_768,
  query_pre_attn_scalar: 256,
  rope_theta: 1_000_000,
  rope_local_base_freq: 10_000,
  rope_scaling: null,
  sliding_window: 512,
  _sliding_window_pattern: 6,
  eos_token_id: [1, 106],
};

/** What google/gemma-3-4b-it states: the rest is transformers' default. */
const MULTIMODAL: Settings = {
  architectures: ["Gemma3ForConditionalGeneration"],
  model_type: "gemma3",
  eos_token_id: [1, 106],
  text_config: {
    model_type: "gemma3_text",
    hidden_size: 2560,
    intermediate_size: 10_240,
    num_hidden_layers: 34,
    rope_scaling: { factor: 8, rope_type: "linear" },
    sliding_window: 1024,
  },
  vision_config: { model_type: "siglip_vision_model", hidden_size: 1152, num_hidden_layers: 27 },
};

const SMOLLM3: Settings = {
  model_type: "smollm3",
  hidden_size: 64,
  num_attention_heads: 4,
  num_hidden_layers: 5,
  intermediate_size: 96,
  vocab_size: 80,
  max_position_embeddings: 64,
};

const PHI3: Settings = { ...SMOLLM3, model_type: "phi3", max_position_embeddings: 128 };

Deno.test("parseConfig() reads Gemma 3 270M as the hub has it", () => {
  const config = parse(GEMMA);
  assertEquals(globalLayers(config), [5, 11, 17]);
  assertEquals(config.layerKinds[0], { window: 512, rope: 1 });
  assertEquals(config.layerKinds[5], { rope: 0 });
  assertEquals(config.ropes, [
    { theta: 1_000_000, scaling: { kind: "none" } },
    { theta: 10_000, scaling: { kind: "none" } },
  ]);
  assertEquals(config.activation, "gelu_tanh");
  assertEquals(config.embeddingScale, Math.sqrt(640));
  assertEquals(config.attentionScale, 1 / 16);
  assertEquals([config.context, config.tied], [32_768, true]);
  assertEquals(config.eosIds, [1, 106]);
});

Deno.test("parseConfig() reads the text part of a multimodal Gemma 3, whose context is scaled already", () => {
  const config = parse(MULTIMODAL);
  assertEquals([config.family, config.layers, config.heads, config.kvHeads], ["gemma3", 34, 8, 4]);
  assertEquals(config.context, 131_072);
  assertEquals(config.ropes[0]?.scaling, { kind: "linear", factor: 8 });
  assertEquals(config.ropes[1], { theta: 10_000, scaling: { kind: "none" } });
  assertEquals(globalLayers(config), [5, 11, 17, 23, 29]);
  assertEquals(config.eosIds, [1, 106]);
});

Deno.test("parseConfig() reads Gemma's layers in every form that states them", () => {
  const { rope_theta: _, rope_local_base_freq: __, rope_scaling: ___, ...rest } = GEMMA;
  const rope_parameters = {
    full_attention: { rope_type: "linear", factor: 4, rope_theta: 5e5 },
    sliding_attention: { rope_type: "default", rope_theta: 2e4 },
  };
  assertEquals(parse({ ...rest, rope_parameters }).ropes, [
    { theta: 5e5, scaling: { kind: "linear", factor: 4 } },
    { theta: 2e4, scaling: { kind: "none" } },
  ]);
  const globals = (settings: Settings) =>
    globalLayers(parse({ ...GEMMA, num_hidden_layers: 4, ...settings }));
  assertEquals(globals({ sliding_window_pattern: 2 }), [1, 3]);
  assertEquals(globals({ _sliding_window_pattern: 3 }), [2]);
  const [slides, sees] = ["sliding_attention", "full_attention"];
  assertEquals(globals({ layer_types: [sees, slides, slides, sees] }), [0, 3]);
});

Deno.test("parseConfig() lets layers whose window holds the context rotate as sliding ones, and see all", () => {
  const { layerKinds } = parse({ ...GEMMA, sliding_window: 32_768, num_hidden_layers: 6 });
  assertEquals(layerKinds.map(({ window }) => window), new Array(6).fill(undefined));
  assertEquals(layerKinds.map(({ rope }) => rope), [1, 1, 1, 1, 1, 0]);
});

Deno.test("parseConfig() knows which layers of SmolLM3 are not rotated, and that only those slide", () => {
  const rotated = (settings: Settings) =>
    parse({ ...SMOLLM3, ...settings }).layerKinds.map(({ rope }) => rope === 0);
  assertEquals(rotated({}), [true, true, true, false, true]);
  assertEquals(rotated({ no_rope_layer_interval: 2 }), [true, false, true, false, true]);
  // transformers allows a longer list.
  assertEquals(rotated({ no_rope_layers: [0, 1, 1, 0, 1, 1] }), [false, true, true, false, true]);
  const { layerKinds } = parse({ ...SMOLLM3, use_sliding_window: true, sliding_window: 8 });
  assertEquals(layerKinds.map(({ window }) => window), [
    ...new Array(3).fill(undefined),
    8,
    undefined,
  ]);
  assertEquals(globalLayers(parse({ ...SMOLLM3, sliding_window: 8 })).length, 5);
});

Deno.test("parseConfig() reads Phi-3's LongRoPE under both of its names", () => {
  const factors = { short_factor: new Array(8).fill(1), long_factor: new Array(8).fill(4) };
  for (const type of ["su", "longrope"]) {
    const { ropes, context } = parse({
      ...PHI3,
      original_max_position_embeddings: 32,
      rope_scaling: { type, ...factors },
      sliding_window: 262_144,
    });
    assertEquals(context, 128);
    const scaling = ropes[0]?.scaling;
    assert(scaling?.kind === "longrope");
    assertEquals(scaling.originalContext, 32);
    assertEquals(scaling.longFactors, factors.long_factor);
    assertEquals(scaling.attentionFactor, Math.sqrt(1 + Math.log(4) / Math.log(32)));
  }
  const plain = parse({ ...PHI3, sliding_window: 47 });
  assertEquals(plain.layerKinds, new Array(5).fill({ window: 47, rope: 0 }));
});

const REFUSED: Readonly<Record<string, readonly [Settings, string]>> = {
  "an unknown kind of layer": [
    { ...GEMMA, num_hidden_layers: 2, layer_types: ["full_attention", "linear_attention"] },
    '"layer_types" has "linear_attention" for layer 1, and only sliding_attention and ' +
    "full_attention are supported",
  ],
  "too few kinds of layers": [
    { ...GEMMA, layer_types: ["full_attention"] },
    '"layer_types" is not a list of 18 kinds of layers',
  ],
  "kinds that are no list": [
    { ...GEMMA, layer_types: "sliding_attention" },
    '"layer_types" is not a list of 18 kinds of layers',
  ],
  "a window of 0": [
    { ...GEMMA, sliding_window: 0 },
    '"sliding_window" is 0 but must be a whole number of at least 1',
  ],
  "a window of half a token": [
    { ...PHI3, sliding_window: 2.5 },
    '"sliding_window" is 2.5 but must be a whole number of at least 1',
  ],
  "a pattern of 0": [
    { ...GEMMA, sliding_window_pattern: 0 },
    '"sliding_window_pattern" is 0 but must be a whole number of at least 1',
  ],
  "rotations that say nothing of a kind of layer": [
    { ...GEMMA, rope_parameters: { full_attention: { rope_type: "default" } } },
    '"rope_parameters" says nothing of some kind of layer',
  ],
  "capped attention": [
    { ...GEMMA, attn_logit_softcapping: 50 },
    '"attn_logit_softcapping" is 50, and logits that are capped are not supported',
  ],
  "capped logits": [
    { ...GEMMA, final_logit_softcapping: 30 },
    '"final_logit_softcapping" is 30',
  ],
  "attention in both directions": [
    { ...GEMMA, use_bidirectional_attention: true },
    '"use_bidirectional_attention" is true',
  ],
  "another activation": [
    { ...GEMMA, hidden_activation: "gelu" },
    '"hidden_activation" is "gelu", and only "silu" and "gelu_pytorch_tanh" are supported',
  ],
  "a broken list of layers without RoPE": [
    { ...SMOLLM3, no_rope_layers: [1, 0, 2, 0, 1] },
    '"no_rope_layers" is not a list of 5 numbers, each 0 or 1',
  ],
  "Phi-4-mini's half-rotated heads": [
    { ...PHI3, partial_rotary_factor: 0.75 },
    '"partial_rotary_factor" is 0.75, and only whole heads (1) can be rotated',
  ],
};

for (const [what, [settings, message]] of Object.entries(REFUSED)) {
  Deno.test(`parseConfig() refuses ${what} in one sentence`, () => {
    const error = assertThrows(() => parse(settings), CheckpointError, message);
    assert(/^Cannot use some\/config\.json: [^\n]*\.$/.test(error.message), error.message);
  });
}

Deno.test("parseConfig() refuses Gemma 2 by name, with the families that can be run", () => {
  const gemma2 = { ...GEMMA, architectures: ["Gemma2ForCausalLM"], model_type: "gemma2" };
  const error = assertThrows(() => parse(gemma2), CheckpointError, "Gemma2ForCausalLM");
  for (const name of ["Gemma3ForCausalLM", "Phi3ForCausalLM", "SmolLM3ForCausalLM"]) {
    assert(error.message.includes(name), error.message);
  }
});
