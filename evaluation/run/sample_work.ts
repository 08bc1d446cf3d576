import * as v from "npm:valibot@1.5.0";
import { COUNT, type SchemaOf } from "../../runtime/schema.ts";
import type { BenchmarkSample } from "../benchmarks/benchmark.ts";
import type { TextWindow } from "../benchmarks/perplexity/measure.ts";
import type { QuestionSetting } from "./run_prompt.ts";

/** A sample as data, without its metric: what another machine needs to measure it. */
export type SampleWork =
  /** A question about a text. */
  | {
    readonly kind: "question";
    readonly sample: BenchmarkSample;
    readonly setting: QuestionSetting;
    readonly group: string;
  }
  /** A piece of text to predict. */
  | { readonly kind: "window"; readonly window: TextWindow };

const SAMPLE: SchemaOf<BenchmarkSample> = v.strictObject({
  id: v.string(),
  task: v.string(),
  context: v.string(),
  question: v.string(),
  prefix: v.string(),
  prefixInTurn: v.exactOptional(v.boolean()),
  answers: v.array(v.string()),
  maxTokens: COUNT,
  firstLine: v.exactOptional(v.boolean()),
  classes: v.exactOptional(v.array(v.string())),
  plain: v.exactOptional(v.boolean()),
  facts: v.record(v.string(), v.union([v.number(), v.string()])),
});

const WINDOW: SchemaOf<TextWindow> = v.strictObject({
  id: v.string(),
  first: v.array(COUNT),
  second: v.array(COUNT),
});

/** Checks the work that came from elsewhere. */
export const SAMPLE_WORK: SchemaOf<SampleWork> = v.variant("kind", [
  v.strictObject({
    kind: v.literal("question"),
    sample: SAMPLE,
    setting: v.strictObject({ order: v.picklist(["last", "first"]), visible: v.boolean() }),
    group: v.string(),
  }),
  v.strictObject({ kind: v.literal("window"), window: WINDOW }),
]);
