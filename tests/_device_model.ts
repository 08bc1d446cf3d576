import { openCheckpoint } from "../runtime/checkpoint/open.ts";
import { readRows } from "../runtime/checkpoint/read_rows.ts";
import { tensorOf } from "../runtime/checkpoint/tensor_of.ts";
import {
  type OpenDeviceEngine,
  openDeviceEngine,
} from "../runtime/engine/device/open_device_engine.ts";
import { stepModel } from "../runtime/weights/step_model.ts";
import type { Model } from "../runtime/model.ts";
import type { Session, SessionOptions } from "../runtime/session/session.ts";
import { createSession } from "../runtime/session/open.ts";
import { testProvider } from "./_device.ts";
import { fixture, type TestModel, testModel } from "./_test_model.ts";

/** A tiny model in main memory, and the same on the device of the tests. */
export interface TwinModel extends AsyncDisposable {
  readonly host: TestModel;
  readonly there: OpenDeviceEngine;
  /** Opens a session on the device. */
  session(options: SessionOptions): Session;
}

/** How {@linkcode twinModel} loads. */
export interface TwinOptions {
  /** 16-bit floats on the device. @default {false} */
  readonly half?: boolean;
  readonly maxBufferBytes?: number;
  /** A shorter context than the checkpoint's. */
  readonly context?: number;
  /** How long steps seem to take: those that seem fast are run ahead. @default {as if all were slow} */
  readonly now?: () => number;
}

/** Loads a tiny checkpoint twice. */
export async function twinModel(
  name: string,
  { half = false, maxBufferBytes, context, now = slowClock() }: TwinOptions = {},
): Promise<TwinModel> {
  await using opening = new AsyncDisposableStack();
  const path = context === undefined
    ? fixture(name)
    : opening.use(await shortened(fixture(name), context)).path;
  const host = opening.use(await testModel(path));
  const checkpoint = await openCheckpoint(path, { home: host.home });
  const { config } = checkpoint;
  const described = await stepModel(checkpoint, {
    precision: "fp32",
    home: host.home,
  });
  const there = opening.use(
    await openDeviceEngine(described, {
      ...{ provider: testProvider(), config, threads: 1, half, now },
      ...(maxBufferBytes === undefined ? {} : { maxBufferBytes }),
      readOutput: (layer) =>
        readRows(tensorOf(checkpoint, checkpoint.family.layer.attentionOutput, layer)),
    }),
  );
  const { tokenizer, facts }: Model = host.model;
  const opened = opening.move();
  return {
    host,
    there,
    session: (options) =>
      createSession(
        { engine: there.engine, tokenizer, facts, now: () => performance.now(), name },
        { ...SHORT_STEPS, ...options },
      ),
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/**
 * On a GPU in software a step of more than 32 tokens takes ten times as long as two shorter ones. The
 * goldens are read in one step each, and the chunk changes nothing (invariant 2).
 */
const SHORT_STEPS = testProvider() === "webgpu" ? { chunk: 24 } : {};

/** A copy of a checkpoint that has a shorter context, in a folder that vanishes. */
async function shortened(
  checkpoint: string,
  context: number,
): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.makeTempDir();
  await Deno.copyFile(`${checkpoint}/model.safetensors`, `${path}/model.safetensors`);
  const config = JSON.parse(await Deno.readTextFile(`${checkpoint}/config.json`));
  await Deno.writeTextFile(
    `${path}/config.json`,
    JSON.stringify({ ...config, max_position_embeddings: context }),
  );
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** A clock by which everything takes a minute. */
function slowClock(): () => number {
  let time = 0;
  return () => time += 60_000;
}
