/** A program that loads a model, reads a prompt and answers: prints the most memory that it had. */
import { readFileSync } from "node:fs";
import { loadModel } from "../../runtime/model.ts";
import { full } from "../../policies/mod.ts";
import type { WeightCopiesChoice } from "../../runtime/weights/weight_copies.ts";

/** What it is told. */
export interface PeakCommand {
  readonly path: string;
  readonly home: string;
  readonly copies: WeightCopiesChoice;
  readonly tokens: number;
}

/** Bytes. */
export interface PeakMemory {
  readonly peak: number;
  readonly cache: number;
}

if (import.meta.main) {
  const command: PeakCommand = JSON.parse(Deno.args[0] ?? "{}");
  const { path, home, copies: weightCopies, tokens } = command;
  await using model = await loadModel(path, { home, weightCopies, threads: 1 });
  await using session = model.session({ policy: full() });
  const ids = Array.from({ length: tokens }, (_, index) => 2 + index % 500);
  for await (const _text of session.generate({ ids }, { maxTokens: 4 })) continue;
  const kibibytes = /^VmHWM:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  const result: PeakMemory = {
    peak: Number(kibibytes) * 1024,
    cache: session.stats().bytes.after,
  };
  console.log(JSON.stringify(result));
}
