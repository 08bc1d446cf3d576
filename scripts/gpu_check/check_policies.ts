import { full, judgeQ, type Policy, snapKv } from "../../policies/mod.ts";

const POLICIES: Readonly<Record<string, () => Policy>> = { full, snapkv: snapKv, judge_q: judgeQ };

/** A policy whose speed is measured, with its usual settings. */
export function policyNamed(name: string): Policy {
  const make = POLICIES[name];
  if (make) return make();
  throw new RangeError(`There is no policy '${name}' here`);
}
