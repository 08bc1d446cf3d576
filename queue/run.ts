import * as v from "npm:valibot@1.5.0";
import type { RunSettings } from "../evaluation/run/record.ts";
import { PROVIDERS } from "../runtime/device/device_report.ts";
import { ANY_OBJECT, FILLED_TEXT, type SchemaOf } from "../runtime/schema.ts";
import type { Precision } from "../runtime/weights/precisions.ts";
import { contentName } from "./digest.ts";
import { STORED_FILE, type StoredFile } from "./store/store.ts";

/** Version of what lies in a queue. */
export const QUEUE_FORMAT = 1;

/** A model as a run names it: its hash counts. */
export interface QueuedModel {
  /** As the submitter gave it. */
  readonly name: string;
  readonly fingerprint: string;
  readonly precision: Precision;
  readonly device: "cpu" | "webgpu" | "cuda";
  readonly allowControlTokens: boolean;
  /** Its files in the store, where it has no name that every machine knows. */
  readonly files?: readonly (StoredFile & { readonly name: string })[];
}

/** A file that a policy names, and what it must hold. */
export interface PinnedPlace {
  /** As a URL. */
  readonly href: string;
  readonly sha256: string;
}

/** What all jobs of a run share. */
export type QueuedRun =
  & {
    readonly format: typeof QUEUE_FORMAT;
    /** Of kvjudge. */
    readonly version: string;
    /** What the run is called in lists: the benchmark, or what is trained. */
    readonly title: string;
    readonly model: QueuedModel;
    /** Whether jobs or results lie in a store. */
    readonly store: boolean;
  }
  & (
    | {
      readonly kind: "samples";
      /** As they were written, and with every option in force. */
      readonly policies: RunSettings["policies"];
      readonly places: readonly PinnedPlace[];
      readonly budgets: readonly string[];
      /** Tokens of the answer that the oracle judges by. */
      readonly answerTokens: number;
      readonly chunk: number | null;
    }
    | {
      readonly kind: "targets";
      /** Whether prompts' keys and values are made as well. */
      readonly keepPast: boolean;
    }
  );

const MODEL: SchemaOf<QueuedModel> = v.strictObject({
  name: FILLED_TEXT,
  fingerprint: FILLED_TEXT,
  precision: v.picklist(["fp32", "int8", "int4"]),
  device: v.picklist(PROVIDERS),
  allowControlTokens: v.boolean(),
  files: v.exactOptional(
    v.array(v.strictObject({
      ...STORED_FILE.entries,
      name: v.pipe(v.string(), v.regex(/^[\w][\w.-]*$/, "the name of a file without a folder")),
    })),
  ),
});

const COMMON = {
  format: v.literal(QUEUE_FORMAT),
  version: FILLED_TEXT,
  title: FILLED_TEXT,
  model: MODEL,
  store: v.boolean(),
};

/** Checks what a queue says of a run. */
export const QUEUED_RUN: SchemaOf<QueuedRun> = v.variant("kind", [
  v.strictObject({
    ...COMMON,
    kind: v.literal("samples"),
    policies: v.array(v.strictObject({ label: v.string(), name: v.string(), options: ANY_OBJECT })),
    places: v.array(v.strictObject({ href: v.string(), sha256: STORED_FILE.entries.sha256 })),
    budgets: v.array(v.string()),
    answerTokens: v.number(),
    chunk: v.nullable(v.number()),
  }),
  v.strictObject({ ...COMMON, kind: v.literal("targets"), keepPast: v.boolean() }),
]);

/** The name of a run: equal runs share it, so that a submitter that starts again finds its own. */
export function runName(run: QueuedRun): string {
  return contentName(run);
}
