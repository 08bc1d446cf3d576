import { join } from "node:path";
import type { DeviceUsage } from "../../kernels/device/device.ts";
import type { StepModel } from "../../kernels/step_model.ts";
import type { ModelConfig } from "../../runtime/checkpoint/checkpoint.ts";
import { openCheckpoint } from "../../runtime/checkpoint/open.ts";
import { readRows } from "../../runtime/checkpoint/read_rows.ts";
import type { Engine } from "../../runtime/engine/engine.ts";
import { openDeviceEngine } from "../../runtime/engine/device/open_device_engine.ts";
import { CheckpointError } from "../../runtime/errors.ts";
import { idsOnlyTokenizer } from "../../runtime/tokenizer/ids_only_tokenizer.ts";
import { modelFacts } from "../../runtime/models/facts.ts";
import { createSession } from "../../runtime/session/open.ts";
import type { Session, SessionOptions } from "../../runtime/session/session.ts";
import { settlePrecision } from "../../runtime/weights/precision.ts";
import type { PrecisionChoice } from "../../runtime/weights/precisions.ts";
import { tensorOf } from "../../runtime/checkpoint/tensor_of.ts";
import { stepModel } from "../../runtime/weights/step_model.ts";
import { type BigFormat, writeBigCheckpoint } from "../big_checkpoint/write.ts";
import { SHAPES } from "../big_checkpoint/shapes.ts";
import { knownAdapter } from "./adapter_file.ts";
import type { CheckOptions } from "./section.ts";

/** A model on the device of a check. */
export interface OpenModel extends AsyncDisposable {
  readonly config: ModelConfig;
  readonly weights: WeightBytes;
  usage(): DeviceUsage;
  /** Milliseconds of each step of one token so far. */
  readonly stepTimes: readonly number[];
  session(options: SessionOptions): Session;
}

/** A checkpoint as step graphs take it. */
export interface DescribedModel {
  readonly described: StepModel;
  readonly config: ModelConfig;
  readonly weights: WeightBytes;
  readonly name: string;
}

/** Bytes of weights. */
export interface WeightBytes {
  /** Those that a decoded token reads: all but the embedding, of which it reads a row. */
  readonly perToken: number;
}

/** The checkpoint of a check, written where it is random. */
export async function checkpointPath(
  { model, folder }: CheckOptions,
  format: BigFormat = "q4_0",
): Promise<string> {
  const shape = SHAPES[model];
  return shape ? await writeBigCheckpoint(folder, model, shape, format) : model;
}

/** Describes a checkpoint; weights are converted once. */
export async function describeModel(
  options: CheckOptions,
  path: string,
  choice?: PrecisionChoice,
): Promise<DescribedModel & { readonly readOutput: (layer: number) => Float32Array }> {
  const home = join(options.folder, "home");
  const checkpoint = await openCheckpoint(path, { home });
  const floats = !path.endsWith(".gguf");
  const precision = settlePrecision(checkpoint, choice ?? (floats ? "fp32" : "auto"));
  const described = await stepModel(checkpoint, { precision, home });
  const { fp16 } = await knownAdapter(options);
  return {
    described,
    config: checkpoint.config,
    name: `${path.split("/").at(-1)} ${precision}`,
    weights: { perToken: bytesOf(described, fp16 && options.device === "webgpu") },
    readOutput: (layer) =>
      readRows(tensorOf(checkpoint, checkpoint.family.layer.attentionOutput, layer)),
  };
}

/** Opens a checkpoint on the device, in 16-bit floats where it has them unless told otherwise. */
export async function openModel(
  options: CheckOptions,
  path: string,
  { half, precision }: { readonly half?: boolean; readonly precision?: PrecisionChoice } = {},
): Promise<OpenModel & { readonly half: boolean; readonly name: string }> {
  const { fp16, maxBufferBytes } = await knownAdapter(options);
  const { described, config, weights, name, readOutput } = await describeModel(
    options,
    path,
    precision,
  );
  const halved = half ?? (options.device === "webgpu" && fp16);
  const opened = await openDeviceEngine(described, {
    ...{ provider: options.device, half: halved, config, threads: 2, readOutput },
    ...(maxBufferBytes === undefined ? {} : { maxBufferBytes }),
  });
  const checkpoint = await openCheckpoint(path, { home: join(options.folder, "home") });
  const facts = await modelFacts({ ...checkpoint, fingerprint: () => Promise.resolve("random") });
  const reason = new CheckpointError("Cannot encode text: the check gives token ids");
  const stepTimes: number[] = [];
  const engine: Engine = {
    ...opened.engine,
    async advance(sequence, input) {
      const start = performance.now();
      const result = await opened.engine.advance(sequence, input);
      if (input.ids?.length === 1) stepTimes.push(performance.now() - start);
      return result;
    },
    async draw(sequence, id, drawing) {
      const start = performance.now();
      const result = await opened.engine.draw?.(sequence, id, drawing);
      if (result) stepTimes.push(performance.now() - start);
      return result;
    },
  };
  const parts = {
    engine,
    tokenizer: idsOnlyTokenizer(config.vocabulary, reason),
    facts: () => Promise.resolve(facts),
    now: () => performance.now(),
    name,
  };
  return {
    config,
    weights,
    half: halved,
    name,
    stepTimes,
    usage: () => opened.device.usage,
    session: (session) => createSession(parts, session),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

function bytesOf({ layers, output, embedding }: StepModel, half: boolean): number {
  const matrices = [
    output ?? embedding,
    ...layers.flatMap(({ qkv, attentionOutput, gate, up, down }) =>
      [...qkv, attentionOutput, gate, up, down].map(({ weight }) => weight)
    ),
  ];
  return matrices.reduce((sum, weight) => {
    const size = weight.rows * weight.columns;
    if (weight.kind === "float") return sum + size * (half ? 2 : 4);
    // A scale of each block of 32, and a zero point where there is one.
    const extra = (half ? 2 : 4) + (weight.zeroPoints ? 1 : 0) + (weight.offsets ? 4 : 0);
    return sum + size * weight.bits / 8 + size / 32 * extra;
  }, 0);
}

/** Token ids in no order. */
export function someIds(length: number, vocabulary: number): number[] {
  return Array.from({ length }, (_, index) => 2 + (index * 7919) % (vocabulary - 2));
}
