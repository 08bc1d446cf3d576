/**
 * Below a session: a model's engine runs steps on sequences, whose KV caches lie in main memory or on
 * a device.
 *
 * @example Read tokens step by step
 * ```ts
 * import { loadModel } from "../model.ts";
 * import type { Engine, KvCache } from "./mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = new URL("../../tests/fixtures/tiny-llama", import.meta.url).pathname;
 * await using model = await loadModel(folder, { precision: "fp32" });
 * const engine: Engine = model.engine;
 * using cache: KvCache = engine.newCache();
 * const { logits } = await engine.advance({ cache, position: 0, planned: 3 }, { ids: [5, 6, 7] });
 * assertEquals(logits.length, model.config.vocabulary);
 * ```
 *
 * @module
 */
export type {
  AdaptedInput,
  DeviceNorms,
  DeviceQueries,
  DrawnStep,
  Engine,
  ExpectedRows,
  Following,
  Gathered,
  HostNorms,
  HostQueries,
  Missing,
  ProbeInput,
  Repetition,
  RotatedQueries,
  StepInput,
  StepNorms,
  StepQueries,
  StepResult,
  ValuesToWrite,
} from "./engine.ts";
export type {
  BaseMoments,
  DeviceMoments,
  ExpectedQueries,
  HostMoments,
  MeanRotation,
  QueryMoments,
} from "./query_moments.ts";
export { advanceTogether } from "./advance_together.ts";
export type { DeviceInputs, HostInputs, LayerInputs, PredictedScores } from "./predicted_scores.ts";
export type { NextToken, Sequence } from "./sequence.ts";
export type { HostEngine, HostStepResult } from "./host/host_engine.ts";
export type { LayerArithmetic } from "./host/host_view.ts";
export type { WantedOfHead } from "./view_parts.ts";
export type { BaseRows, DeviceRows, HostRows, Rows } from "./rows.ts";
export type {
  BaseKvCache,
  CacheMark,
  DeviceKvCache,
  HeadEntries,
  HostKvCache,
  KvCache,
  LayerSlots,
  Rerotation,
  Segment,
} from "../cache/kv_cache.ts";
export type { NarrowPrecision } from "../cache/narrow_rows.ts";
export type { Drawing } from "../sampling/drawing.ts";
export type { PositionMap } from "../rotary/position_map.ts";
export type { LayerBuffers } from "../../kernels/device/layer_buffers.ts";
export type { DeviceTensor } from "../../kernels/device/device.ts";
export type { DrawSettings } from "../../kernels/draw_settings.ts";
export type { ElementType } from "../../kernels/onnx/graph.ts";
export type { MomentTensors } from "../../kernels/device/query_moments.ts";
export type { ChunkStatistics } from "../../kernels/query_statistics.ts";
export type { RotaryFrequencies, RotarySpan } from "../../kernels/rope.ts";
export type { StepOutputs } from "../../kernels/step.ts";
