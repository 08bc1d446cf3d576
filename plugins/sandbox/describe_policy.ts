/** A policy's members as data and functions, each function bound to the policy. */
export type PolicyDescription = Readonly<Record<string, unknown>>;

/**
 * Takes a policy apart, so that it can be sent through the wall of a sandbox. What is no object is
 * returned as it is: the other side says what is wrong with it.
 *
 * The source of this function runs in the sandbox too, so it uses nothing from outside itself.
 */
export function describePolicy(policy: unknown): unknown {
  const members = [
    ...["name", "paper", "options", "evicts", "phases", "positions"],
    ...["protect", "allocate", "allocateHeads", "secondStage"],
    ...["score", "select"],
  ];
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
    const { evidence, first } = value;
    if (isObject(first) && depth < 4) {
      description.first = { ...first, policy: describe(first.policy, depth + 1) };
    }
    // An evidence may hold a policy, and that one another.
    const draft = isObject(evidence) && depth < 4 ? evidence.draft : undefined;
    if (evidence !== undefined) {
      description.evidence = isObject(evidence) && draft !== undefined
        ? { ...evidence, draft: describe(draft, depth + 1) }
        : evidence;
    }
    return description;
  };
  return describe(policy, 0);
}
