import { DeviceError, KvjudgeError } from "../errors.ts";
import type { ProviderName } from "./device_report.ts";

/** Failures of devices by what the native library says, and the way out. The first that matches counts. */
const KNOWN: readonly (readonly [RegExp, (found: RegExpExecArray) => string])[] = [
  [
    /Buffer size \((\d+)\)[^.]*max buffer size limit \((\d+)\)/i,
    ([, wanted, limit]) =>
      `a buffer of ${wanted} bytes is more than the ${limit} that it allows; read in smaller chunks, ` +
      "keep less, take a smaller model or precision 'int4'",
  ],
  [
    /max buffer size limit \((\d+)\)/i,
    ([, limit]) =>
      `a buffer is larger than the ${limit} bytes that it allows; read in smaller chunks, keep less, ` +
      "take a smaller model or precision 'int4'",
  ],
  [
    // A buffer that could not be made is all that a run on webgpu says of a full memory.
    /out of memory|OUT_OF_(DEVICE|HOST)_MEMORY|failed to allocate|CUDA failure 2\b|\[Invalid Buffer/i,
    () =>
      "its memory is full; give a smaller budget, a shorter text, a smaller model or precision 'int4'",
  ],
  [
    /device (was |is )?lost|DEVICE_LOST/i,
    () => "the device was lost: its driver was restarted or crashed; load the model again",
  ],
  [
    /requires f16|shader-f16/i,
    () => "it has no 16-bit floats",
  ],
];

const ACTIONS = { load: "load the model", run: "run the model" } as const;

/**
 * What the native library throws, as one sentence. Errors of ours stay what they are.
 *
 * @param action What was being done.
 */
export function deviceError(
  provider: ProviderName,
  action: keyof typeof ACTIONS,
  error: unknown,
): unknown {
  if (error instanceof KvjudgeError || !(error instanceof Error)) return error;
  const [first = ""] = error.message.split("\n");
  let reason = `onnxruntime says: ${first}`;
  for (const [words, explain] of KNOWN) {
    const found = words.exec(error.message);
    if (!found) continue;
    reason = explain(found);
    break;
  }
  return new DeviceError(
    `Cannot ${ACTIONS[action]} on ${provider}: ${reason}; 'device' cpu always works`,
    { cause: error, options: ["device"] },
  );
}
