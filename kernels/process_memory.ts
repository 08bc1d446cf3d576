import { readFileSync } from "node:fs";

/**
 * Reaches the system's advice on ranges of memory, on Linux.
 *
 * @returns What must be closed; `undefined` where there is no such call.
 */
export function openMemoryAdvice() {
  if (Deno.build.os !== "linux") return undefined;
  const call = { parameters: ["pointer", "usize", "i32"], result: "i32" } as const;
  try {
    return Deno.dlopen("libc.so.6", {
      madvise: call,
      // For advice that takes long: on another thread.
      madviseAside: { ...call, name: "madvise", nonblocking: true },
    });
  } catch {
    // Another C library.
    return undefined;
  }
}

/** What the process has mapped, as Linux tells it; nothing elsewhere. */
export function readMappings(): string {
  try {
    return readFileSync("/proc/self/maps", "utf8");
  } catch {
    return "";
  }
}
