/**
 * Models on this machine: where they lie and how they are fetched, what they are, and what they can
 * run on.
 *
 * @example Find a model in a folder
 * ```ts
 * import { homeFolder, resolveModel } from "./mod.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const folder = new URL("../../tests/fixtures/tiny-llama", import.meta.url).pathname;
 * assertEquals(await resolveModel(folder, { home: homeFolder() }), folder);
 * ```
 *
 * @module
 */
export type { ModelConfig, RopeScaling, RopeSettings } from "../checkpoint/checkpoint.ts";
export type { Activation, LayerKind } from "../../kernels/step_model.ts";
export type { ChosenDevice, DeviceChoice } from "../device/choose_device.ts";
export type { ProviderName } from "../../kernels/device/provider_probe.ts";
export { type Precision, type PrecisionChoice, PRECISIONS } from "../weights/precisions.ts";
export { WEIGHT_COPIES, type WeightCopiesChoice } from "../weights/weight_copies.ts";
export type { GuardedText, TextSpan } from "../tokenizer/guarded_text.ts";
export type {
  ChatMessage,
  ChatTemplateOptions,
  DecodeOptions,
  EncodeOptions,
  StreamOptions,
  TextStream,
  Tokenizer,
  ToolCall,
} from "../tokenizer/tokenizer.ts";
export type { CatalogModel, FilePart, Licence, PinnedFile } from "./catalog.ts";
export type { CommandResult, FetchContext, FetchProgress, RunCommand } from "./fetch_context.ts";
export { type Environment, homeFolder, type HomeOptions } from "./home.ts";
export { type ListedModel, listModels } from "./list_models.ts";
export type { ModelReference } from "./model_reference.ts";
export { resolveModel, type ResolveOptions } from "./resolve_model.ts";
