import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Bytes of this process in memory. On Linux without those of files, which the system takes back as it likes. */
export function heldMemory(): number {
  if (Deno.build.os !== "linux") return Deno.memoryUsage().rss;
  const status = Deno.readTextFileSync("/proc/self/status");
  return [...status.matchAll(/^Rss(?:Anon|Shmem):\s*(\d+) kB$/gm)]
    .reduce((sum, [, kibibytes]) => sum + Number(kibibytes) * 1024, 0);
}

/** The same once garbage is collected: V8 lets 190 MB of arrays lie otherwise. */
export async function collectedMemory(): Promise<number> {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect !== "function") throw new Error("V8 cannot be asked to collect garbage");
  for (let round = 0; round < 3; round++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return heldMemory();
}
