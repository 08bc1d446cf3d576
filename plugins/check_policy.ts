import type { EvictionPolicy, Evidence, Policy, ScorerPolicy } from "../policies/policy.ts";
import { PolicyError } from "../runtime/errors.ts";

/** Every kind of evidence, and which functions, numbers and objects it must have. */
const EVIDENCE: Readonly<Record<Evidence["kind"], Readonly<Record<string, string>>>> = {
  none: {},
  window: { size: "number" },
  soft: { tokens: "function" },
  accumulated: {},
  statistics: { skip: "number", future: "number" },
  lookahead: { steps: "number", draft: "object" },
  replay: {
    chunk: "number",
    sinks: "number",
    instruction: "string",
    continuation: "string",
    overlap: "number",
  },
  predicted: {},
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

/** What is wrong with a member that is there, in the order in which members are looked at. */
const PROBLEMS: Readonly<Record<Member, (value: unknown) => string | undefined>> = {
  name: (name) =>
    typeof name === "string" && /^[a-z][a-z\d_]{0,63}$/.test(name)
      ? undefined
      : `its 'name' must be snake_case of at most 64 characters, got ${show(name)}`,
  score: (score) => functionProblem("score", score),
  select: (select) => functionProblem("select", select),
  allocate: (allocate) => functionProblem("allocate", allocate),
  allocateHeads: (allocateHeads) => functionProblem("allocateHeads", allocateHeads),
  acrossLayers: (acrossLayers) =>
    acrossLayers === true
      ? undefined
      : `its 'acrossLayers' must be true or absent, got ${show(acrossLayers)}`,
  threshold: (threshold) =>
    typeof threshold === "number" && Number.isFinite(threshold)
      ? undefined
      : `its 'threshold' must be a finite number, got ${show(threshold)}`,
  forModel: (forModel) => functionProblem("forModel", forModel),
  note: (note) =>
    typeof note === "string" ? undefined : `its 'note' must be a text, got ${show(note)}`,
  protect: (protect) =>
    typeof protect === "function" || isObject(protect)
      ? undefined
      : `its 'protect' must be like { sinks: 4, recent: 32 } or a function, got ${show(protect)}`,
  evicts: (evicts) =>
    typeof evicts === "boolean"
      ? undefined
      : `its 'evicts' must be true or false, got ${show(evicts)}`,
  paper: (paper) =>
    typeof paper === "string" ? undefined : `its 'paper' must be an address, got ${show(paper)}`,
  options: (options) =>
    isObject(options) ? undefined : `its 'options' must be an object, got ${show(options)}`,
  phases: (phases) =>
    arePhases(phases)
      ? undefined
      : "its 'phases' must be like { decoding: { every: 64, target: 256 } } or { reading: { every: " +
        `1024, keep: 2048 } }, whole numbers of at least 1, got ${show(phases)}`,
  positions: (positions) =>
    positions === "contiguous"
      ? undefined
      : `its 'positions' must be "contiguous" or absent, got ${show(positions)}`,
  merging: (merging) =>
    isMerging(merging)
      ? undefined
      : "its 'merging' must be like { threshold: 0, fraction: 1 }, numbers from 0 to 1, got " +
        show(merging),
  restores: (restores) =>
    isObject(restores) && typeof restores.tokens === "function"
      ? undefined
      : `its 'restores' must be like { tokens(model) { … } }, got ${show(restores)}`,
  secondStage: (stage) =>
    isSecondStage(stage)
      ? undefined
      : "its 'secondStage' must be like { first: 0.5, rescore(layer, scores) { … } }, got " +
        show(stage),
  evenHeads: evenHeadsProblem,
  first: firstProblem,
  evidence: evidenceProblem,
};

type Member = keyof ScorerPolicy | keyof EvictionPolicy;

/** Members that every policy has. */
const REQUIRED: ReadonlySet<string> = new Set<Member>(["name", "evidence"]);

function findProblem(value: unknown): string | undefined {
  if (!isObject(value)) {
    return `its factory must return an object with 'name', 'evidence' and 'score', got ${
      show(value)
    }`;
  }
  for (const [member, problemOf] of Object.entries(PROBLEMS)) {
    const found = value[member];
    const problem = found === undefined && !REQUIRED.has(member) ? undefined : problemOf(found);
    if (problem !== undefined) return problem;
    if (member === "name" && value.score === undefined && value.select === undefined) {
      return "it has neither 'score' nor 'select'; write score(layer), which gives one number for " +
        "each KV head and token";
    }
  }
}

function functionProblem(member: string, found: unknown): string | undefined {
  if (typeof found === "function") return undefined;
  return `its '${member}' must be a function, got ${show(found)}`;
}

function evenHeadsProblem(evenHeads: unknown): string | undefined {
  const dividing: readonly Member[] = ["allocateHeads", "secondStage", "evenHeads"];
  const even = isObject(evenHeads) && evenHeads.score !== undefined &&
    dividing.every((member) => evenHeads[member] === undefined);
  if (!even) return "its 'evenHeads' must be a policy with 'score' that divides no budget itself";
  const problem = findProblem(evenHeads);
  if (problem !== undefined) return `of the policy in its 'evenHeads', ${problem}`;
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
  const { measure } = evidence;
  if ((kind !== "window" && kind !== "soft") || measure === undefined || isMeasure(measure)) return;
  return `'measure' of its evidence must be like { output: "head", power: 2 }, got ${
    show(measure)
  }`;
}

function isMerging(merging: unknown): boolean {
  const isShare = (value: unknown) => typeof value === "number" && value >= 0 && value <= 1;
  return isObject(merging) && isShare(merging.threshold) && isShare(merging.fraction);
}

function isMeasure(measure: unknown): boolean {
  if (!isObject(measure)) return false;
  const { output, power, decay } = measure;
  return (output === "head" || output === "layer") && (power === 1 || power === 2) &&
    (decay === undefined || (typeof decay === "number" && decay >= 0 && decay <= 1));
}

function isSecondStage(stage: unknown): boolean {
  if (!isObject(stage)) return false;
  const { first, rescore } = stage;
  return typeof first === "number" && first >= 0 && first <= 1 && typeof rescore === "function";
}

function arePhases(phases: unknown): boolean {
  if (!isObject(phases)) return false;
  const counts = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 1;
  const isPhase = (phase: unknown, left: string) =>
    phase === undefined ||
    isObject(phase) && counts(phase.every) && (phase[left] === undefined || counts(phase[left]));
  return isPhase(phases.decoding, "target") && isPhase(phases.reading, "keep");
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
