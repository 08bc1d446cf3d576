/**
 * Takes a policy apart, so that it can be sent through the wall of a sandbox: its members as data and
 * functions, each function bound to the policy. What is no object is returned as it is: the other side
 * says what is wrong with it.
 *
 * The source of this function runs in the sandbox too, so it uses nothing from outside itself.
 *
 * @param members Names of all that a policy may have.
 */
export function describePolicy(policy: unknown, members: readonly string[]): unknown {
  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === "object" && value !== null;
  const describe = (value: unknown, depth: number): unknown => {
    if (!isObject(value)) return value;
    const description: Record<string, unknown> = {};
    for (const member of members) {
      const found = value[member];
      if (found === undefined) continue;
      description[member] = typeof found === "function" ? found.bind(value) : found;
    }
    // Three members hold a policy, and that one another.
    const { evidence, first, evenHeads } = value;
    if (isObject(evidence) && evidence.draft !== undefined && depth < 4) {
      description.evidence = { ...evidence, draft: describe(evidence.draft, depth + 1) };
    }
    if (isObject(first) && depth < 4) {
      description.first = { ...first, policy: describe(first.policy, depth + 1) };
    }
    if (isObject(evenHeads) && depth < 4) description.evenHeads = describe(evenHeads, depth + 1);
    return description;
  };
  return describe(policy, 0);
}
