import type { DeviceUsage } from "../kernels/device/device.ts";
import { openCheckpoint } from "../runtime/checkpoint/open.ts";
import { readRows } from "../runtime/checkpoint/read_rows.ts";
import { tensorOf } from "../runtime/checkpoint/tensor_of.ts";
import {
  chooseDevice,
  type ChosenDevice,
  type DeviceChoice,
} from "../runtime/device/choose_device.ts";
import { openDeviceEngine } from "../runtime/engine/device/open_device_engine.ts";
import { DeviceError } from "../runtime/errors.ts";
import type { Model } from "../runtime/model.ts";
import { homeFolder } from "../runtime/models/home.ts";
import { resolveModel } from "../runtime/models/resolve_model.ts";
import { createSession } from "../runtime/session/open.ts";
import type { Session, SessionOptions } from "../runtime/session/mod.ts";
import { stepModel } from "../runtime/weights/step_model.ts";

/** A model on a device, beside the same one in main memory. */
export interface OpenedDevice extends AsyncDisposable {
  /** What it runs on, for people. */
  readonly label: string;
  /** Bytes that crossed, and what is held. */
  usage(): DeviceUsage;
  /** Graphs that were loaded so far. */
  graphs(): number;
  session(options: SessionOptions): Session;
}

/** Opens a device; where it does not work, its graphs run on the processor. */
export async function openOnDevice(
  source: string,
  host: Model,
  choice: string,
  threads: number,
): Promise<OpenedDevice> {
  const { device, label } = await settled(choice);
  const home = homeFolder();
  const checkpoint = await openCheckpoint(await resolveModel(source, { home }), { home });
  const { config } = checkpoint;
  const described = await stepModel(checkpoint, {
    precision: host.precision,
    home,
  });
  const { maxBufferBytes } = device;
  const opened = await openDeviceEngine(described, {
    ...{ provider: device.provider, half: device.half, config, threads },
    ...(maxBufferBytes === undefined ? {} : { maxBufferBytes }),
    readOutput: (layer) =>
      readRows(tensorOf(checkpoint, checkpoint.family.layer.attentionOutput, layer)),
  });
  const { device: there } = opened;
  const load = there.load.bind(there);
  let loaded = 0;
  there.load = (...given) => {
    loaded++;
    return load(...given);
  };
  const { tokenizer, facts } = host;
  const now = () => performance.now();
  return {
    label,
    usage: () => there.usage,
    graphs: () => loaded,
    session: (options) => createSession({ engine: opened.engine, tokenizer, facts, now }, options),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

async function settled(
  choice: string,
): Promise<{ readonly device: ChosenDevice; readonly label: string }> {
  try {
    const device = await chooseDevice(choice as DeviceChoice);
    const { provider, adapter, half } = device;
    if (provider !== "cpu") {
      const name = adapter === undefined ? provider : `${provider} (${adapter})`;
      return { device, label: `${name}, ${half ? 16 : 32}-bit floats` };
    }
    return { device, label: `its graphs on the processor (${device.why})` };
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    const device = { provider: "cpu", half: false, why: "" } as const;
    return { device, label: `its graphs on the processor (${error.message})` };
  }
}
