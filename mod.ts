/**
 * kvjudge: reads a long prompt, keeps only the KV cache entries that the answer will need, answers.
 *
 * This is all that most programs need. `./session`, `./policies` and `./plugins` have the rest of what
 * stands here; `./models` (where they lie, what they are), `./engine` (steps, caches), `./evaluation`
 * and `./training` have more.
 *
 * @example Ask a question about a long document
 * ```ts no-assert
 * import { judgeQ, loadModel } from "./mod.ts";
 *
 * await using model = await loadModel("smollm2-135m-instruct");
 * await using session = model.session({ policy: judgeQ(), budget: 256 });
 * const answer = session.ask("Mill Lane has 12 houses.", "How many houses has Mill Lane?", {
 *   maxTokens: 20,
 * });
 * for await (const text of answer) console.log(text);
 * console.log(session.stats().bytes);
 * ```
 *
 * @module
 */

// A model and its sessions.
export { loadModel, type LoadOptions, type Model } from "./runtime/model.ts";
export type { FetchProgress } from "./runtime/models/fetch_context.ts";
export { type Budget, parseBudget } from "./runtime/evict/budget.ts";
export type { ReadOptions, Session, SessionOptions } from "./runtime/session/session.ts";
export type { SessionMark } from "./runtime/session/marks.ts";
export type { SessionStats } from "./runtime/session/stats.ts";
export type { GenerateOptions, Generation } from "./runtime/session/generate.ts";
export type { Constraint, ConstraintSpec } from "./runtime/sampling/constraint.ts";
export type { Prompt } from "./runtime/tokenizer/prompt.ts";
export type { ChatMessage } from "./runtime/tokenizer/tokenizer.ts";
export { readSavedCacheInfo } from "./runtime/session/saved/file.ts";

// Policies by name, path and URL.
export { createPolicy } from "./policies/create.ts";
export { registry } from "./policies/registry.ts";
export { type LoadedPolicy, loadPolicy, type LoadPolicyOptions } from "./plugins/load_policy.ts";
export { checkPlugin } from "./plugins/conformance/check_plugin.ts";

// What a policy is.
export type {
  EvictionPolicy,
  Evidence,
  LayerView,
  Policy,
  Protection,
  ScorerPolicy,
} from "./policies/policy.ts";

// The policies.
export { adaKv } from "./policies/ada_kv.ts";
export { chunkKv } from "./policies/chunk_kv.ts";
export { compose } from "./policies/compose.ts";
export { criticalKv } from "./policies/critical_kv.ts";
export { expectedAttention } from "./policies/expected_attention.ts";
export { full } from "./policies/full.ts";
export { graphKv } from "./policies/graphkv.ts";
export { h2o } from "./policies/h2o.ts";
export { judgeQ } from "./policies/judge_q.ts";
export { keyDiff } from "./policies/keydiff.ts";
export { knorm } from "./policies/knorm.ts";
export { lagKv } from "./policies/lagkv.ts";
export { lookaheadKv } from "./policies/lookahead_kv.ts";
export { lookaheadQCache } from "./policies/lookahead_q_cache.ts";
export { oracle } from "./policies/oracle.ts";
export { perLayer } from "./policies/per_layer.ts";
export { pyramid } from "./policies/pyramid.ts";
export { pyramidKv } from "./policies/pyramidkv.ts";
export { random } from "./policies/random.ts";
export { rerotate } from "./policies/rerotate.ts";
export { snapKv } from "./policies/snapkv.ts";
export { streamingLlm } from "./policies/streaming_llm.ts";
export { tova } from "./policies/tova.ts";
export { whileDecoding } from "./policies/while_decoding.ts";
export { whileReading } from "./policies/while_reading.ts";

// Errors.
export { OptionError } from "./policies/policy.ts";
export {
  BudgetError,
  CheckpointError,
  ConstraintError,
  DeviceError,
  EvidenceError,
  FetchError,
  KvjudgeError,
  PolicyError,
  PromptError,
  SavedCacheError,
  StorageError,
} from "./runtime/errors.ts";
