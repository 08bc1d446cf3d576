/**
 * Policies as they are written on a command line: `random,snapkv(window=32,kernel=1)`.
 *
 * @module
 */
import { suggest } from "../policies/_suggest.ts";
import { createPolicy, findPolicy } from "../policies/create.ts";
import { OptionError, type Policy } from "../policies/policy.ts";
import { splitOutside } from "./split_outside.ts";

/** A policy, and what it is called in results. */
export interface NamedPolicy {
  /** As it was written, without spaces. */
  readonly label: string;
  readonly policy: Policy;
}

/** Options that a policy gets where the list does not say otherwise, by the policy's name. */
export type PolicyDefaults = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

const NOTATION = "write policies as in 'random,snapkv(window=32,kernel=1)'";

/**
 * Makes the policies of a list. Options stand in parentheses: numbers, `true`, `false`, words, paths,
 * and JSON for anything else. A policy in the first place among them is the inner one of the policy
 * outside, as in `ada_kv(snapkv(window=8),alpha=0.2)`.
 *
 * @throws {OptionError} If the list is not written so, names a policy twice or one that does not
 * exist, or a policy refuses an option.
 *
 * @example
 * ```ts
 * import { parsePolicies } from "./policy_list.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const [first, second] = await parsePolicies("random, snapkv(window=8, pooling=avg)");
 * assertEquals(first?.label, "random");
 * assertEquals(second?.policy.options, { window: 8, kernel: 7, pooling: "avg" });
 * ```
 */
export async function parsePolicies(
  text: string,
  defaults: PolicyDefaults = {},
): Promise<readonly NamedPolicy[]> {
  const entries = split(text).map((entry) => entry.trim());
  if (entries.every((entry) => entry === "")) {
    throw new OptionError(`Cannot read an empty list of policies: ${NOTATION}`);
  }
  const named: NamedPolicy[] = [];
  for (const entry of entries) {
    const policy = await makePolicy(entry, defaults);
    const label = labelOf(entry);
    if (named.some((other) => other.label === label)) {
      throw new OptionError(
        `Cannot use policy '${label}' twice in one list: leave one of them out`,
      );
    }
    named.push({ label, policy });
  }
  return named;
}

async function makePolicy(entry: string, defaults: PolicyDefaults): Promise<Policy> {
  const match = /^([a-z][\w-]*)\s*(?:\((.*)\))?$/is.exec(entry);
  const name = match?.[1];
  if (name === undefined) {
    throw new OptionError(`Cannot read ${JSON.stringify(entry)} as a policy: ${NOTATION}`);
  }
  const found = findPolicy(name);
  const words = split(match?.[2] ?? "").map((word) => word.trim());
  const options: Record<string, unknown> = {};
  for (const [at, word] of words.entries()) {
    if (word === "" && words.length === 1) break;
    const [key = "", value] = keyAndValue(word);
    if (value !== undefined) {
      if (key in options) throw new OptionError(`Cannot give option '${key}' of '${name}' twice`);
      options[key] = readValue(value);
    } else if (at === 0 && found.options.some((option) => option.name === "inner")) {
      options.inner = await makePolicy(word, defaults);
    } else {
      const known = found.options.map((option) => option.name);
      throw new OptionError(
        `Cannot read ${JSON.stringify(word)} as an option of '${name}': write name=value` +
          (known.length === 0 ? "; it takes no options" : suggest(word, known)),
      );
    }
  }
  return await createPolicy(name, { ...ownDefaults(found.name, options, defaults), ...options });
}

/** The defaults, unless options were given: they may not go together. */
function ownDefaults(name: string, options: object, defaults: PolicyDefaults): object {
  return Object.keys(options).length === 0 ? defaults[name] ?? {} : {};
}

function keyAndValue(word: string): readonly [string, string?] {
  const match = /^(\w+)\s*=\s*(.*)$/s.exec(word);
  return match ? [match[1] ?? "", match[2] ?? ""] : [word];
}

function readValue(text: string): unknown {
  if (!/^(["[{\d.+-]|true$|false$|null$)/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function split(text: string): readonly string[] {
  const parts = splitOutside(text, ",");
  if (parts) return parts;
  throw new OptionError(
    `Cannot read ${JSON.stringify(text)}: its brackets or quotes do not match; ${NOTATION}`,
  );
}

/** Spaces outside quotes say nothing. */
function labelOf(entry: string): string {
  return (entry.match(/"(?:\\.|[^"\\])*"|[^"\s]+/g) ?? []).join("");
}
