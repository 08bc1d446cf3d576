import { POLICY_MEMBERS } from "../../policies/contract/members.ts";
import type { Evidence, LayerView, ModelFacts, Policy, Restoring } from "../../policies/policy.ts";
import { PolicyError } from "../../runtime/errors.ts";
import { describePolicy } from "./describe_policy.ts";

/** Options on their way into a sandbox, and what may be done with the policies among them. */
export interface LentPolicies {
  /** The options, with policies taken apart: their functions are called here. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The model, which reads only such soft tokens for the sandbox as the user named in the options. */
  guard(model: ModelFacts): ModelFacts;
  /** Lets the sandbox ask about layers of this size. */
  sawLayer(layer: LayerView): void;
}

type Reader = ModelFacts["readSoftTokens"];

/** Reads nothing: a policy of ours that needs a file of the model's is not lent. */
const refuseFile: ModelFacts["readModelFile"] = (source) => refuseReading(source);

/** Most layers that an allocator of ours is asked about. */
const MOST_LAYERS = 4096;

/**
 * Lends the policies among the options to a sandbox. They run here, so what they are asked is checked:
 * they neither read a file for the sandbox nor work on layers larger than the model's.
 */
export function lendPolicies(options: object): LentPolicies {
  const readers = new WeakMap<Reader, Reader>();
  const max = { heads: 0, kvHeads: 0, headDim: 0, length: 0 };
  const named = new Set(Object.values(options).map(String));

  const checkLayer = (layer: LayerView) => {
    for (const size of ["heads", "kvHeads", "headDim", "length"] as const) {
      const value: unknown = layer?.[size];
      if (Number.isInteger(value) && Number(value) > 0 && Number(value) <= max[size]) continue;
      throw new PolicyError(`'${size}' of a layer must be from 1 to ${max[size]}, got ${value}`);
    }
  };
  const lend = (policy: Policy): unknown => {
    const { name, allocate, evidence, first, forModel, restores } = policy;
    if (forModel) {
      throw new PolicyError(
        `Policy '${name}' reads a file made for the model, and is not lent to a policy in a sandbox; wrap ` +
          "one that needs none, or load the wrapper from a file of your own",
      );
    }
    const { secondStage, evenHeads } = "score" in policy ? policy : {};
    return {
      ...describePolicy(policy, POLICY_MEMBERS) as object,
      evidence: lendEvidence(evidence),
      ...(restores === undefined ? {} : { restores: { tokens: lendTokens(restores.tokens) } }),
      ...(first === undefined ? {} : { first: { ...first, policy: lend(first.policy) } }),
      ...(evenHeads === undefined ? {} : { evenHeads: lend(evenHeads) }),
      ...("score" in policy
        ? { score: (layer: LayerView) => (checkLayer(layer), policy.score(layer)) }
        : {}),
      ...(secondStage === undefined ? {} : {
        secondStage: {
          first: secondStage.first,
          rescore: (layer: LayerView, scores: Float32Array, counts?: readonly number[]) => (
            checkLayer(layer), secondStage.rescore(layer, scores, counts)
          ),
        },
      }),
      ...("select" in policy
        ? {
          select: (layer: LayerView, keep: number) => (
            checkLayer(layer), policy.select(layer, keep)
          ),
        }
        : {}),
      ...(allocate === undefined ? {} : {
        allocate(request: Parameters<typeof allocate>[0]) {
          if (!(request.layers <= MOST_LAYERS)) {
            throw new PolicyError(`'layers' must be at most ${MOST_LAYERS}, got ${request.layers}`);
          }
          return allocate(request);
        },
      }),
    };
  };
  const lendEvidence = (evidence: Evidence): unknown => {
    if (evidence.kind === "lookahead") return { ...evidence, draft: lend(evidence.draft) };
    if (evidence.kind !== "soft") return evidence;
    return { ...evidence, tokens: lendTokens(evidence.tokens) };
  };
  // What our own policy reads is its own affair.
  const lendTokens = (tokens: Restoring["tokens"]): Restoring["tokens"] => (model) =>
    tokens({ ...model, readSoftTokens: readers.get(model.readSoftTokens) ?? refuseReading });
  return {
    options: Object.fromEntries(
      Object.entries(options).map(([key, value]) => [key, isPolicy(value) ? lend(value) : value]),
    ),
    guard(model) {
      const { readSoftTokens } = model;
      const guarded: Reader = (source) =>
        named.has(String(source)) ? readSoftTokens(source) : refuseReading(source);
      readers.set(guarded, readSoftTokens);
      return { ...model, readSoftTokens: guarded, readModelFile: refuseFile };
    },
    sawLayer({ heads, kvHeads, headDim, length }) {
      Object.assign(max, { heads, kvHeads, headDim, length });
    },
  };
}

function refuseReading(source: string | URL): Promise<never> {
  return Promise.reject(
    new PolicyError(
      `soft tokens are read from ${source} only if the policy's options name it; give it as an option`,
    ),
  );
}

function isPolicy(value: unknown): value is Policy {
  return typeof value === "object" && value !== null && "evidence" in value &&
    ("score" in value || "select" in value);
}
