import { differences } from "./run/differences.ts";
import type { RunSettings } from "./run/record.ts";

/** What makes a comparison of two runs less than fair: other models, seeds, versions, options. */
export function compareWarnings(a: RunSettings, b: RunSettings): readonly string[] {
  const warnings: string[] = [];
  if (a.model.fingerprint !== b.model.fingerprint) {
    warnings.push(`the models differ: ${a.model.name} and ${b.model.name}`);
  } else if (a.model.precision !== b.model.precision) {
    warnings.push(`the precisions differ: ${a.model.precision} and ${b.model.precision}`);
  }
  const [here, there] = [a.model.device ?? "cpu", b.model.device ?? "cpu"];
  if (here !== there) warnings.push(`the devices differ: ${here} and ${there}`);
  if (a.seed !== b.seed) warnings.push(`the seeds differ: ${a.seed} and ${b.seed}`);
  for (const name of new Set([...Object.keys(a.versions), ...Object.keys(b.versions)])) {
    const [one, other] = [a.versions[name] ?? "none", b.versions[name] ?? "none"];
    if (one !== other) warnings.push(`the versions of ${name} differ: ${one} and ${other}`);
  }
  for (const { label, options } of a.policies) {
    const other = b.policies.find((policy) => policy.label === label);
    const found = other ? differences(options, other.options) : [];
    if (found.length === 0) continue;
    const shown = found.map(({ path, first, second }) => `${path} is ${first} and ${second}`);
    warnings.push(`the options of ${label} differ: ${shown.join(", ")}`);
  }
  return warnings;
}
