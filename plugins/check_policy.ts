import type { Evidence, Policy } from "../policies/policy.ts";
import { PolicyError } from "../runtime/errors.ts";

/** Every kind of evidence, and which functions, numbers and objects it must have. */
const EVIDENCE: Readonly<Record<Evidence["kind"], Readonly<Record<string, string>>>> = {
  none: {},
  window: { size: "number" },
  soft: { tokens: "function" },
  accumulated: {},
  statistics: { skip: "number", future: "number" },
  lookahead: { steps: "number", draft: "object" },
  given: { queries: "object" },
};

/**
 * Checks that a value is a policy, before it is asked for anything.
 *
 * @param value What a plugin's factory gave.
 * @param source Where the plugin came from, for the message.
 * @throws {PolicyError} If it is not.
 *
 * @example
 * ```ts
 * import { checkPolicy } from "./check_policy.ts";
 * import { assertThrows } from "@std/assert";
 *
 * const policy = { name: "mine", evidence: { kind: "none" } };
 * assertThrows(() => checkPolicy(policy, "mine.ts"), Error, "neither 'score' nor 'select'");
 * ```
 */
export function checkPolicy(value: unknown, source: string): asserts value is Policy {
  const problem = findProblem(value);
  if (problem === undefined) return;
  throw new PolicyError(`Cannot use ${source} as a policy: ${problem}`);
}

function findProblem(value: unknown): string | undefined {
  if (!isObject(value)) {
    return `its factory must return an object with 'name', 'evidence' and 'score', got ${
      show(value)
    }`;
  }
  const { name, evidence, score, select, protect, allocate, evicts, paper, options } = value;
  const { allocateHeads, secondStage, phases, positions, first } = value;
  if (typeof name !== "string" || !/^[a-z][a-z\d_]{0,63}$/.test(name)) {
    return `its 'name' must be snake_case of at most 64 characters, got ${show(name)}`;
  }
  if (score === undefined && select === undefined) {
    return "it has neither 'score' nor 'select'; write score(layer), which gives one number for " +
      "each KV head and token";
  }
  for (const [member, found] of Object.entries({ score, select, allocate, allocateHeads })) {
    if (found !== undefined && typeof found !== "function") {
      return `its '${member}' must be a function, got ${show(found)}`;
    }
  }
  if (protect !== undefined && typeof protect !== "function" && !isObject(protect)) {
    return `its 'protect' must be like { sinks: 4, recent: 32 } or a function, got ${
      show(protect)
    }`;
  }
  if (evicts !== undefined && typeof evicts !== "boolean") {
    return `its 'evicts' must be true or false, got ${show(evicts)}`;
  }
  if (paper !== undefined && typeof paper !== "string") {
    return `its 'paper' must be an address, got ${show(paper)}`;
  }
  if (options !== undefined && !isObject(options)) {
    return `its 'options' must be an object, got ${show(options)}`;
  }
  if (phases !== undefined && !arePhases(phases)) {
    return "its 'phases' must be like { decoding: { every: 64, target: 256 } }, whole numbers of at " +
      `least 1, got ${show(phases)}`;
  }
  if (positions !== undefined && positions !== "contiguous") {
    return `its 'positions' must be "contiguous" or absent, got ${show(positions)}`;
  }
  if (secondStage !== undefined && !isSecondStage(secondStage)) {
    return "its 'secondStage' must be like { first: 0.5, rescore(layer, scores) { … } }, got " +
      show(secondStage);
  }
  const ofFirst = first === undefined ? undefined : firstProblem(first);
  return ofFirst ?? evidenceProblem(evidence);
}

function firstProblem(first: unknown): string | undefined {
  if (!isObject(first)) return `its 'first' must be like { policy, factor: 2 }, got ${show(first)}`;
  const { policy, factor, tokens } = first;
  const problem = findProblem(policy);
  if (problem !== undefined) return `of the policy in its 'first', ${problem}`;
  if (factor !== undefined && !(typeof factor === "number" && factor >= 1 && factor < Infinity)) {
    return `'factor' of its 'first' must be a number of at least 1, got ${show(factor)}`;
  }
  if (tokens !== undefined && !(Number.isSafeInteger(tokens) && Number(tokens) >= 1)) {
    return `'tokens' of its 'first' must be an integer of at least 1, got ${show(tokens)}`;
  }
}

function evidenceProblem(evidence: unknown): string | undefined {
  const kinds = Object.keys(EVIDENCE).map((kind) => `'${kind}'`).join(", ");
  if (!isObject(evidence) || typeof evidence.kind !== "string") {
    return `its 'evidence' must be like { kind: "none" }, where kind is one of ${kinds}, got ${
      show(evidence)
    }`;
  }
  const { kind } = evidence;
  if (!hasKind(kind)) return `its evidence's 'kind' must be one of ${kinds}, got ${show(kind)}`;
  for (const [member, type] of Object.entries(EVIDENCE[kind])) {
    if (typeof evidence[member] === type && evidence[member] !== null) continue;
    return `its evidence of kind '${kind}' must have a ${type} '${member}', got ${
      show(evidence[member])
    }`;
  }
}

function isSecondStage(stage: unknown): boolean {
  if (!isObject(stage)) return false;
  const { first, rescore } = stage;
  return typeof first === "number" && first >= 0 && first <= 1 && typeof rescore === "function";
}

function arePhases(phases: unknown): boolean {
  if (!isObject(phases)) return false;
  const { decoding } = phases;
  if (decoding === undefined) return true;
  const counts = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 1;
  return isObject(decoding) && counts(decoding.every) &&
    (decoding.target === undefined || counts(decoding.target));
}

function hasKind(kind: string): kind is Evidence["kind"] {
  return Object.hasOwn(EVIDENCE, kind);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value in a few words. */
function show(value: unknown): string {
  if (typeof value === "function") return "a function";
  if (value instanceof Promise) return "a promise";
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
