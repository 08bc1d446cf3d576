import { DeviceError } from "../errors.ts";
import { isSoftware, type ProviderName, type ProviderReport } from "./device_report.ts";
import { probeDevices, type ProbeOptions } from "./probe_devices.ts";

/** What can be asked for. */
export const DEVICE_CHOICES = [
  "cpu",
  "auto",
  "webgpu",
  "cuda",
] as const satisfies readonly DeviceChoice[];

/** A device by name, or `auto` for the best that works. */
export type DeviceChoice = "cpu" | "auto" | "webgpu" | "cuda";

/** The device that a model runs on. */
export interface ChosenDevice {
  /** Its provider. */
  readonly provider: ProviderName;
  /** Whether it computes, and the cache holds, 16-bit floats. */
  readonly half: boolean;
  /** Largest buffer in bytes, where the device names a limit. */
  readonly maxBufferBytes?: number;
  /** Name of the GPU, where it is known. */
  readonly adapter?: string;
  /** Why it is this one, for people; no full stop. */
  readonly why: string;
}

/** How {@linkcode chooseDevice} finds out. */
export interface ChooseOptions {
  /** Tries providers. @default {probeDevices} */
  readonly probe?: (options: ProbeOptions) => Promise<readonly ProviderReport[]>;
}

const PROCESSOR: Omit<ChosenDevice, "why"> = { provider: "cpu", half: false };

/**
 * Settles which device a model runs on. `cpu` is taken at its word; anything else is tried first, in
 * a process of its own.
 *
 * @throws {DeviceError} If there is no such device, or it does not work here.
 * @throws {Deno.errors.NotCapable} If a device is named and no process may be started to try it.
 *
 * @example
 * ```ts
 * import { chooseDevice } from "./choose_device.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const probe = () => Promise.resolve([{ provider: "webgpu" as const, works: true, fp16: true }]);
 * const { provider, half } = await chooseDevice("auto", { probe });
 * assertEquals([provider, half], ["webgpu", true]);
 * ```
 */
export async function chooseDevice(
  choice: DeviceChoice,
  { probe = probeDevices }: ChooseOptions = {},
): Promise<ChosenDevice> {
  if (!DEVICE_CHOICES.includes(choice)) {
    throw new DeviceError(
      `Cannot run on device '${choice}': it must be one of ${DEVICE_CHOICES.join(", ")}`,
    );
  }
  if (choice === "cpu") return { ...PROCESSOR, why: "it was asked for" };
  if (choice !== "auto") return named(choice, await probe({ providers: [choice] }));
  const reports: ProviderReport[] = [];
  try {
    for (const provider of ["webgpu", "cuda"] as const) {
      reports.push(...await probe({ providers: [provider] }));
      const best = bestDevice(reports);
      if (best.provider !== "cpu") return best;
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    const why = "no process may be started to try others (Deno's --allow-run)";
    return { ...PROCESSOR, why };
  }
  return bestDevice(reports);
}

/**
 * What `auto` takes, by what providers said of themselves: `webgpu`, which keeps the cache where it
 * computes, before `cuda`, and neither of them where they would be slower than the processor.
 */
export function bestDevice(reports: readonly ProviderReport[]): ChosenDevice {
  const works = (name: ProviderName) =>
    reports.find((report) => report.provider === name && report.works && !isSoftware(report));
  const best = works("webgpu") ?? works("cuda");
  if (best) {
    return chosen(best, best.adapter ?? "it works; the name of its adapter is not known");
  }
  const others = reports.filter(({ provider }) => provider !== "cpu");
  const reasons = others.map((report) =>
    report.works
      ? `${report.provider} works, but only on a software adapter (${report.adapter}), slower than ` +
        "the processor"
      : `${report.provider} does not work`
  );
  return { ...PROCESSOR, why: `${reasons.join("; ")} (kvjudge devices says more)` };
}

function named(provider: ProviderName, reports: readonly ProviderReport[]): ChosenDevice {
  const report = reports.find((one) => one.provider === provider);
  if (report?.works) return chosen(report, "it was asked for");
  const missing = report?.missing ?? `Cannot use ${provider}: it gave no answer`;
  throw new DeviceError(
    `${missing}; kvjudge devices lists what works, and 'device' cpu always does`,
    { cause: report?.detail, options: ["device"] },
  );
}

function chosen(
  { provider, fp16 = false, maxBufferBytes, adapter }: ProviderReport,
  why: string,
): ChosenDevice {
  return {
    provider,
    half: fp16,
    ...(maxBufferBytes === undefined ? {} : { maxBufferBytes }),
    ...(adapter === undefined ? {} : { adapter }),
    why,
  };
}
