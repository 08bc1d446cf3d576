import * as v from "npm:valibot@1.5.0";
import { COUNT, type SchemaOf } from "../runtime/schema.ts";
import type { ResponseSource } from "../training/target.ts";
import { STORED_FILE, type StoredFile } from "./store/store.ts";

/** A prompt whose target is to be made. */
export interface TargetWork {
  /** Name of the target. */
  readonly key: string;
  /** Token ids of the prompt. */
  readonly ids: readonly number[];
  readonly response: ResponseSource;
}

/** A target that was made: its files are in the store. */
export interface TargetMade {
  readonly key: string;
  readonly target: StoredFile;
  /** Keys and values of the prompt, where they are kept. */
  readonly past?: StoredFile;
}

const IDS = v.pipe(v.array(COUNT), v.minLength(1, "an array that is not empty"));

/** Checks what a worker is given. */
export const TARGET_WORK: SchemaOf<TargetWork> = v.strictObject({
  key: v.string(),
  ids: IDS,
  response: v.variant("kind", [
    v.strictObject({
      kind: v.literal("self"),
      tokens: COUNT,
      until: v.exactOptional(v.string()),
    }),
    v.strictObject({ kind: v.literal("original"), ids: IDS }),
    v.strictObject({ kind: v.literal("repeated"), chunk: COUNT }),
  ]),
});

/** Checks what a worker gives back. */
export const TARGET_MADE: SchemaOf<TargetMade> = v.strictObject({
  key: v.string(),
  target: STORED_FILE,
  past: v.exactOptional(STORED_FILE),
});
