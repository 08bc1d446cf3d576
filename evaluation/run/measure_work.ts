import { measurePerplexity } from "../benchmarks/perplexity/measure.ts";
import { measureSample } from "./measure_sample.ts";
import type { SampleMeasurement } from "./measurement.ts";
import type { SampleRecord } from "./record.ts";
import type { SampleWork } from "./sample_work.ts";

/**
 * Measures a sample that came as data. Outputs of questions are not judged: their scores are 0 until
 * whoever knows the metric has judged them.
 *
 * @throws {PromptError} If the prompt and its answer are longer than the model's context.
 */
export function measureWork(
  work: SampleWork,
  measurement: SampleMeasurement,
): Promise<SampleRecord> {
  return work.kind === "window"
    ? measurePerplexity(work.window, measurement)
    : measureSample({ ...work, metric: () => 0 }, measurement);
}
