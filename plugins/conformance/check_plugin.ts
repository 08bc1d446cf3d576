import type { Policy, ScorerPolicy } from "../../policies/policy.ts";
import { oneLine } from "../one_line.ts";
import type { PolicyFactory } from "../plugin.ts";
import { CHECKS } from "./checks.ts";
import { demandFunction } from "../../runtime/given.ts";

/** What became of one check. */
export interface CheckResult {
  /** Completes the sentence "a policy …". */
  readonly title: string;
  /** `advice`: it does otherwise, which breaks no contract. */
  readonly outcome: "ok" | "broken" | "advice";
  /** What is wrong, and the way out. */
  readonly problem?: string;
}

/** What a plugin is, and what it breaks. */
export interface PluginReport {
  /** Name of the policy. */
  readonly name: string;
  /** What it is: it scores, it selects, or it does either around another one. */
  readonly kind: "scorer" | "eviction policy" | "wrapper";
  /** Kind of its evidence; a wrapper's is that of the policy that it wraps. */
  readonly evidence: string;
  /** Every check, in the order in which they ran. */
  readonly results: readonly CheckResult[];
}

/** A policy to be wrapped that needs no attention. */
const QUIET: ScorerPolicy = Object.freeze<ScorerPolicy>({
  name: "quiet",
  evidence: { kind: "none" },
  protect: { sinks: 2 },
  score: async ({ keys, kvHeads, headDim, length }) => {
    const all = await keys();
    return Float32Array.from(
      { length: kvHeads * length },
      (_, at) => all[((at % length) * kvHeads + Math.floor(at / length)) * headDim] ?? 0,
    );
  },
});

/** A policy to be wrapped that needs attention. */
const ATTENTIVE: ScorerPolicy = Object.freeze<ScorerPolicy>({
  name: "attentive",
  evidence: { kind: "window", size: 8 },
  protect: { recent: 8 },
  score: (layer) => layer.groupAttention(),
});

/**
 * Runs the checks that hold for every policy on made-up layers.
 *
 * A plugin that makes nothing without an inner policy is a wrapper: it is checked around two.
 *
 * @throws {PolicyError} If it makes no policy either way.
 *
 * @example
 * ```ts
 * import { checkPlugin } from "./check_plugin.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const report = await checkPlugin(() =>
 *   Promise.resolve({
 *     name: "short",
 *     evidence: { kind: "none" },
 *     score: () => new Float32Array(3),
 *   })
 * );
 * assertEquals(report.results[0]?.outcome, "broken");
 * ```
 */
export async function checkPlugin(create: PolicyFactory): Promise<PluginReport> {
  demandFunction("check a policy", "what makes it", create);
  const { policy, wrapper } = await makeOne(create);
  const results: CheckResult[] = [];
  for (const inner of wrapper ? [QUIET, ATTENTIVE] : [undefined]) {
    const make: PolicyFactory = async (options) =>
      await create(
        inner === undefined || Array.isArray(options) ? options : { ...options, inner },
      );
    for (const { title, advice = false, run } of CHECKS) {
      // Options are the wrapper's own, whatever it wraps.
      if (advice && inner === ATTENTIVE) continue;
      const problem = await run(make).catch(reasonOf);
      const around = inner === undefined
        ? title
        : `${title}, around a policy that is ${inner.name}`;
      results.push(
        problem === undefined
          ? { title: around, outcome: "ok" }
          : { title: around, outcome: advice ? "advice" : "broken", problem },
      );
    }
  }
  const { name, evidence } = policy;
  const kind = wrapper ? "wrapper" : "select" in policy ? "eviction policy" : "scorer";
  return { name, kind, evidence: wrapper ? "inner" : evidence.kind, results };
}

async function makeOne(
  create: PolicyFactory,
): Promise<{ readonly policy: Policy; readonly wrapper: boolean }> {
  try {
    return { policy: await create(), wrapper: false };
  } catch (error) {
    const policy = await create({ inner: QUIET }).catch(() => undefined);
    if (policy === undefined) throw error;
    return { policy, wrapper: true };
  }
}

function reasonOf(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error));
}
