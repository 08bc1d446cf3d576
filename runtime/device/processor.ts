import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import process from "node:process";
import type { Arithmetic } from "../../kernels/weight.ts";

/**
 * Arithmetic for products with many rows: whole numbers where the processor has instructions for
 * sums of products of bytes, floats elsewhere. Measured with AVX2 alone, floats are 1.2 to 1.5 times
 * as fast; with AVX-512 VNNI, whole numbers are about twice as fast.
 *
 * @param readCpuInfo Gives Linux's description of the processor, or throws where there is none.
 */
export function prefillArithmetic(
  architecture: string = process.arch,
  readCpuInfo: () => string = () => readFileSync("/proc/cpuinfo", "utf8"),
): Arithmetic {
  if (architecture === "arm64") return "integer";
  try {
    const flags = /^flags\s*:(.*)$/m.exec(readCpuInfo())?.[1]?.split(/\s+/) ?? [];
    return flags.includes("avx512_vnni") || flags.includes("avx_vnni") ? "integer" : "float";
  } catch {
    // Not Linux, or not allowed to look: floats are never far behind.
    return "float";
  }
}

/** Threads that this process can run at once. */
export function defaultThreads(): number {
  return availableParallelism();
}
