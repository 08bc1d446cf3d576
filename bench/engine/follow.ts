import { appendFile, writeFile } from "node:fs/promises";
import type { FollowCommand } from "./protocol.ts";

/** An engine that has read a prompt. */
export interface Reader {
  /** Those of the last token, valid until the next one. */
  logits(): Float32Array;
  append(id: number): void | Promise<void>;
}

/** Does the rest of a {@linkcode FollowCommand}, behind its prompt. */
export async function writeFollowed(
  file: string,
  { steps, path }: Pick<FollowCommand, "steps" | "path">,
  reader: Reader,
): Promise<readonly number[]> {
  const ids: number[] = [];
  await writeFile(file, new Uint8Array());
  for (let step = 0; step <= steps; step++) {
    const logits = reader.logits();
    await appendFile(file, new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength));
    if (step === steps) break;
    const id = path?.[step] ?? indexOfMax(logits);
    ids.push(id);
    await reader.append(id);
  }
  return ids;
}

/** Index of the largest value, the first of equals. */
export function indexOfMax(values: Float32Array): number {
  let best = 0;
  let highest = -Infinity;
  for (let index = 0; index < values.length; index++) {
    const value = values[index] ?? -Infinity;
    if (value > highest) {
      highest = value;
      best = index;
    }
  }
  return best;
}
