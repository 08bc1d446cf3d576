import { readFile } from "node:fs/promises";
import process from "node:process";

/** Most memory that this process ever had, in bytes. */
export async function peakMemory(): Promise<number> {
  // Linux's other counter starts with the size of the parent process.
  const status = await readFile("/proc/self/status", "utf8").catch(() => "");
  const kibibytes = Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]) ||
    process.resourceUsage().maxRSS;
  return kibibytes * 1024;
}
