/**
 * The eviction policies, and what it takes to write one.
 *
 * @example
 * ```ts
 * import { createPolicy, snapKv } from "./mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals((await createPolicy("snapkv")).options, snapKv().options);
 * ```
 *
 * @module
 */
export type { OptionEntry, PolicyEntry, PolicyModule } from "./_entry.ts";
export type { OptionsOf, OptionSpec, OptionValue, OptionValues, PolicyAbout } from "./_options.ts";
export type { Pooling } from "./_pool.ts";
export { adaKv, type AdaKvOptions } from "./ada_kv.ts";
export { chunkKv, type ChunkKvOptions } from "./chunk_kv.ts";
export { compose, type ComposeOptions } from "./compose.ts";
export { createPolicy, findPolicy } from "./create.ts";
export { criticalKv, type CriticalKvOptions } from "./critical_kv.ts";
export { expectedAttention, type ExpectedAttentionOptions } from "./expected_attention.ts";
export { full, type FullOptions } from "./full.ts";
export { graphKv, type GraphKvOptions } from "./graphkv.ts";
export { h2o, type H2oOptions } from "./h2o.ts";
export { judgeQ, type JudgeQOptions } from "./judge_q.ts";
export { keyDiff, type KeyDiffOptions } from "./keydiff.ts";
export { knorm, type KnormOptions } from "./knorm.ts";
export { lagKv, type LagKvOptions } from "./lagkv.ts";
export { lookaheadKv, type LookaheadKvOptions } from "./lookahead_kv.ts";
export { lookaheadQCache, type LookaheadQCacheOptions } from "./lookahead_q_cache.ts";
export { oracle, type OracleOptions } from "./oracle.ts";
export { perLayer, type PerLayerOptions } from "./per_layer.ts";
export * from "./policy.ts";
export { pyramid, type PyramidOptions } from "./pyramid.ts";
export { pyramidKv, type PyramidKvOptions } from "./pyramidkv.ts";
export { random, type RandomOptions } from "./random.ts";
export { type PolicyName, registry } from "./registry.ts";
export { rerotate, type RerotateOptions } from "./rerotate.ts";
export { snapKv, type SnapKvOptions } from "./snapkv.ts";
export { streamingLlm, type StreamingLlmOptions } from "./streaming_llm.ts";
export { tova, type TovaOptions } from "./tova.ts";
export { whileDecoding, type WhileDecodingOptions } from "./while_decoding.ts";
