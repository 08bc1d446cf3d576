import process from "node:process";
import { CheckpointError } from "../../../runtime/errors.ts";
import type { FuzzTarget, Sample } from "../../../scripts/fuzz/target.ts";

function target(name: string, open: (changed: boolean) => Promise<void> | void): FuzzTarget {
  const bytes = new TextEncoder().encode("a whole file, long enough to be damaged".repeat(20));
  return {
    name,
    mutations: [],
    async prepare(folder) {
      const path = `${folder}/whole`;
      await Deno.writeFile(path, bytes);
      const sample: Sample = {
        path,
        bytes,
        open: async () => {
          const found = await Deno.readFile(path);
          await open(found.length !== bytes.length || found.some((byte, i) => byte !== bytes[i]));
        },
      };
      return [sample];
    },
  };
}

/** Targets that break each promise, so that the harness must notice. */
export const TARGETS: readonly FuzzTarget[] = [
  target("good", (changed) => {
    if (changed) throw new CheckpointError("Cannot read the file: it is damaged");
  }),
  target("untyped", (changed) => {
    if (changed) throw new TypeError("Cannot read properties of undefined");
  }),
  target("slow", (changed) => {
    const end = process.cpuUsage().user + (changed ? 1_500_000 : 0);
    for (let sum = 0; process.cpuUsage().user < end;) {
      for (let i = 0; i < 1e6; i++) sum += Math.sin(i);
    }
  }),
  target(
    "hanging",
    (changed) => changed ? new Promise(() => setInterval(() => {}, 1000)) : undefined,
  ),
  target("greedy", (changed) => void new Float32Array(changed ? 2 ** 26 : 1)),
  target("hoarding", (changed) => {
    for (let i = 0; changed && i < 40; i++) new Uint8Array(2 ** 21);
  }),
  target("heavy", (changed) => {
    const lists: number[][] = [];
    while (changed) lists.push(Array.from({ length: 100_000 }, (_, i) => i * 0.5));
  }),
  target("crashing", (changed) => {
    if (changed) Deno.exit(7);
  }),
  target("rude", (changed) => {
    if (changed) throw Object.assign(new CheckpointError("x"), { message: "\u001b[2J" });
  }),
  target("broken", () => {
    throw new Error("cannot even read the whole file");
  }),
];
