import { join } from "node:path";
import { probeDevices } from "../../runtime/device/probe_devices.ts";
import type { CheckOptions } from "./section.ts";

/** What sections need to know of the adapter. */
export interface KnownAdapter {
  readonly fp16: boolean;
  readonly maxBufferBytes?: number;
  readonly name?: string;
}

/** What the adapter can do: asked once, then read from a file. */
export async function knownAdapter({ device, folder }: CheckOptions): Promise<KnownAdapter> {
  const path = join(folder, `adapter-${device}.json`);
  try {
    return JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const [report] = await probeDevices({ providers: [device] });
  if (!report?.works) throw new Error(report?.missing ?? `${device} gave no answer`);
  const { fp16 = false, maxBufferBytes, adapter } = report;
  const known: KnownAdapter = {
    fp16,
    ...(maxBufferBytes === undefined ? {} : { maxBufferBytes }),
    ...(adapter === undefined ? {} : { name: adapter }),
  };
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(path, JSON.stringify(known));
  return known;
}
