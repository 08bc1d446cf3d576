import { cpus } from "node:os";
import process from "node:process";
import type { MachineRecord } from "../evaluation/run/record.ts";

/** What decides about the last bits of numbers: onnxruntime's version is that of the release. */
export function machineOf(
  version: string,
  { precision, device }: { readonly precision: string; readonly device?: string },
): MachineRecord {
  return {
    processor: processorName(),
    ...(device === undefined || device === "cpu" ? {} : { device }),
    precision,
    versions: { kvjudge: version, deno: Deno.version.deno },
  };
}

/** As the processor's maker calls it, with its kind and the system. */
export function processorName(): string {
  const [first] = cpus();
  const model = first?.model.trim() || "unknown processor";
  return `${model}, ${process.arch}, ${process.platform}`;
}
