import type { ProviderName } from "../../kernels/device/provider_probe.ts";

export type { ProviderName };

/** Providers that are asked, in this order. */
export const PROVIDERS: readonly ProviderName[] = ["cpu", "webgpu", "cuda"];

/** What is known of a provider on this machine. */
export interface ProviderReport {
  /** Its name. */
  readonly provider: ProviderName;
  /** Whether a graph ran on it and gave the right result. */
  readonly works: boolean;
  /** Whether it computes with 16-bit floats. */
  readonly fp16?: boolean;
  /** Largest buffer in bytes, where it names a limit: no layer's keys may be larger. */
  readonly maxBufferBytes?: number;
  /** Name of the GPU, where it is known. */
  readonly adapter?: string;
  /** Why it does not work and what to do, one sentence. */
  readonly missing?: string;
  /** What the native library said. */
  readonly detail?: string;
}

/** Names of adapters that are programs for the processor. */
const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|basic render|\bwarp\b/i;

/** Whether a provider is known to compute on the processor after all, in a roundabout way. */
export function isSoftware({ adapter = "" }: ProviderReport): boolean {
  return SOFTWARE.test(adapter);
}

/** How a process that tried a provider ended. */
export interface ProbeEnd {
  /** Exit code. */
  readonly code: number;
  /** Signal that ended it. */
  readonly signal: string | null;
  /** Whether it was killed because it took too long. */
  readonly late: boolean;
  /** What the native library said. */
  readonly said: string;
}

/** What is missing, by what the native library says. The first that matches counts. */
const KNOWN: readonly (readonly [ProviderName, RegExp, string])[] = [
  [
    "webgpu",
    /libvulkan|Couldn't load Vulkan/,
    "there is no Vulkan loader; install it, on Debian and Ubuntu with: apt-get install libvulkan1",
  ],
  [
    "webgpu",
    /no drivers|INCOMPATIBLE_DRIVER/i,
    "there is a Vulkan loader, but no driver for it; install the driver of your GPU",
  ],
  [
    "webgpu",
    /No supported adapters|WebGPU adapter/i,
    "no GPU was found that it can use; check its driver",
  ],
  [
    "cuda",
    /shared library|not (available|supported|enabled)/i,
    "onnxruntime's libraries for CUDA are not installed or lack CUDA 12 and cuDNN; on Linux with an " +
    "NVIDIA GPU run: deno install --allow-scripts=npm:onnxruntime-node",
  ],
];

/** Why a provider does not work, one sentence. */
export function whatIsMissing(
  provider: ProviderName,
  { code, signal, late, said }: ProbeEnd,
): string {
  const found = KNOWN.find(([name, words]) => name === provider && words.test(said));
  if (found) return `Cannot use ${provider}: ${found[2]}`;
  if (late) {
    return `Cannot use ${provider}: it did not answer in time; check the driver of your GPU`;
  }
  if (signal !== null || code !== 0) {
    const end = signal === null ? `with exit code ${code}` : `by ${signal}`;
    return `Cannot use ${provider}: the native library was ended ${end}; update the driver of your GPU`;
  }
  const [first = ""] = said.trim().split("\n");
  return `Cannot use ${provider}: ${first === "" ? "no reason was given" : first}`;
}
