/**
 * Reads prompts, evicts their KV cache and answers: models, sessions, budgets, errors.
 *
 * @module
 */
export { type Budget, parseBudget, type UniformBudget } from "./evict/budget.ts";
export type { ModelConfig, RopeScaling } from "./checkpoint/checkpoint.ts";
export type {
  Engine,
  ExpectedRows,
  Following,
  Gathered,
  ProbeInput,
  StepInput,
  StepQueries,
  StepResult,
} from "./engine/engine.ts";
export type { Sequence } from "./engine/sequence.ts";
export type { HostEngine, HostStepResult } from "./engine/host/host_engine.ts";
export type { LayerArithmetic } from "./engine/host/host_view.ts";
export type { DeviceTensor } from "../kernels/device/device.ts";
export type { BaseRows, DeviceRows, HostRows, Rows } from "./engine/rows.ts";
export type { Reading, ReadTimes } from "./evict/read.ts";
export * from "./errors.ts";
export type { FinishReason, GenerateOptions, Generation } from "./session/generate.ts";
export { loadModel, type LoadOptions, type Model } from "./model.ts";
export type { StepOutputs } from "../kernels/step.ts";
export type { QueryGaussian } from "../kernels/expected_logits.ts";
export type { ChunkStatistics } from "../kernels/query_statistics.ts";
export type { RotaryRows } from "../kernels/rope.ts";
export type { ProviderName } from "../kernels/device/provider_probe.ts";
export type { ChosenDevice, DeviceChoice } from "./device/choose_device.ts";
export type {
  BaseKvCache,
  CacheMark,
  DeviceKvCache,
  HeadEntries,
  HostKvCache,
  KvCache,
  LayerBuffers,
  Rerotation,
  Segment,
} from "./cache/kv_cache.ts";
export type { AttentionSums } from "./evidence/accumulated.ts";
export type { PositionMap } from "./rotary/position_map.ts";
export type { CatalogModel, PinnedFile } from "./models/catalog.ts";
export type {
  CommandResult,
  FetchContext,
  FetchProgress,
  RunCommand,
} from "./models/fetch_context.ts";
export { type Environment, homeFolder, type HomeOptions } from "./models/home.ts";
export type { ModelReference } from "./models/model_reference.ts";
export { type ListedModel, listModels } from "./models/list_models.ts";
export { resolveModel, type ResolveOptions } from "./models/resolve_model.ts";
export type { Prompt } from "./tokenizer/prompt.ts";
export type { SamplingOptions } from "./sampling/sampler.ts";
export type { ReadOptions, Session, SessionOptions } from "./session/session.ts";
export type { TokenSpan } from "./evict/pinned.ts";
export type { SessionMark } from "./session/marks.ts";
export type { SessionStats } from "./session/stats.ts";
export { readSavedCacheInfo } from "./session/saved/file.ts";
export { type SavedCacheInfo } from "./session/saved/info.ts";
export type { Judge, SavedCacheRecord } from "./session/saved/record.ts";
export type { Transcript } from "./session/transcript.ts";
export { parseCard, type SoftTokenCard, writeSoftTokens } from "./soft_tokens/card.ts";
export { readSoftTokens } from "./soft_tokens/read.ts";
export type {
  ChatMessage,
  ChatTemplateOptions,
  DecodeOptions,
  EncodeOptions,
  TextStream,
  Tokenizer,
} from "./tokenizer/tokenizer.ts";
export { type Precision, type PrecisionChoice, PRECISIONS } from "./weights/precisions.ts";
