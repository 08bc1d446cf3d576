import { policyMembers } from "../../policies/contract/members.ts";
import {
  type Evidence,
  type LayerView,
  type MaybePromise,
  type ModelFacts,
  OptionError,
  type Policy,
  type ScorerPolicy,
  type SoftTokens,
} from "../../policies/policy.ts";
import { KvjudgeError, PolicyError } from "../../runtime/errors.ts";
import { checkPolicy } from "../check_policy.ts";
import { noFactory, type PolicyFactory } from "../plugin.ts";
import { CREATE } from "./inside.ts";
import { lendPolicies, type LentPolicies } from "./lend_policy.ts";
import { servedAsOther } from "./served_type.ts";
import { type Sandbox, type SandboxRequest, startSandbox } from "./start_sandbox.ts";

/** A plugin in a sandbox: its factory, and the process to be closed. */
export interface SandboxedPlugin extends AsyncDisposable {
  readonly create: PolicyFactory;
}

/**
 * Opens a plugin in a process without permissions. Its policy is a policy like any other, all of
 * whose functions give promises.
 *
 * @throws {PolicyError} If the plugin cannot be fetched, or its process not be started.
 */
export async function openSandbox(request: SandboxRequest): Promise<SandboxedPlugin> {
  const sandbox = await startSandbox(request);
  const { href } = request.url;
  return {
    async create(options = {}) {
      const lent = lendPolicies(options);
      try {
        const made = await sandbox.limited(
          "was not made",
          () => sandbox.peer.callKeeping(CREATE, [href, lent.options]),
        );
        const { found, policy } = made as { readonly found?: string; readonly policy: unknown };
        if (found !== undefined) throw noFactory(href, found);
        return localPolicy(policy, { sandbox, lent, href });
      } catch (cause) {
        if (cause instanceof KvjudgeError || cause instanceof OptionError) throw cause;
        const reason = cause instanceof Error ? cause.message : String(cause);
        const served = await servedAsOther(request.url, reason);
        const problem = served === undefined
          ? `Cannot make the policy of ${href}: ${reason}`
          : `Cannot load the policy ${href}: ${served}`;
        throw new PolicyError(problem, { cause });
      }
    },
    [Symbol.asyncDispose]: () => sandbox[Symbol.asyncDispose](),
  };
}

/** What a policy that runs elsewhere is reached by. */
interface Reach {
  readonly sandbox: Sandbox;
  readonly lent: LentPolicies;
  readonly href: string;
}

/** A policy here that asks the one in the sandbox: data as it is, functions with a time limit. */
function localPolicy(remote: unknown, reach: Reach): Policy {
  const { sandbox, lent, href } = reach;
  checkPolicy(remote, href);
  if (remote.forModel) {
    throw new PolicyError(
      `Cannot use ${href} in a sandbox: its 'forModel' would read a file made for the model; load it from a ` +
        "file of your own, or let it judge without",
    );
  }
  const limited = <Asked extends readonly unknown[], Answer>(
    doing: string,
    ask: (...asked: Asked) => MaybePromise<Answer>,
  ) =>
  (...asked: Asked): Promise<Answer> => sandbox.limited(doing, async () => await ask(...asked));
  const shown = <Asked extends readonly unknown[], Answer>(
    doing: string,
    ask: (layer: LayerView, ...asked: Asked) => MaybePromise<Answer>,
  ) => {
    const answer = limited(doing, ask);
    return (layer: LayerView, ...asked: Asked): Promise<Answer> => {
      lent.sawLayer(layer);
      return answer(boundedView(layer), ...asked);
    };
  };
  const { options, first, allocate, restores } = remote;
  const base = {
    evidence: localEvidence(remote.evidence, reach),
    ...(options && { options: Object.freeze({ ...options }) }),
    ...(first && { first: { ...first, policy: localPolicy(first.policy, reach) } }),
    ...(allocate && { allocate: limited("divided no budget", allocate) }),
    ...(restores && { restores: { tokens: localTokens(restores.tokens, reach) } }),
  };
  if ("select" in remote) {
    const { select } = remote;
    return Object.freeze<Policy>({
      ...policyMembers(remote),
      ...base,
      select: shown("selected no tokens", select),
    });
  }
  const { protect, allocateHeads, secondStage, evenHeads, score } = remote;
  return Object.freeze<Policy>({
    ...policyMembers(remote),
    ...base,
    ...(typeof protect === "function" && { protect: limited("protected nothing", protect) }),
    ...(allocateHeads && { allocateHeads: limited("divided no budget", allocateHeads) }),
    ...(secondStage && {
      secondStage: { ...secondStage, rescore: shown("gave no scores", secondStage.rescore) },
    }),
    ...(evenHeads && localEvenHeads(evenHeads, reach)),
    score: shown("gave no scores", score),
  });
}

/** The even-headed policy of one in the sandbox. */
function localEvenHeads(remote: ScorerPolicy, reach: Reach): Pick<ScorerPolicy, "evenHeads"> {
  const evenHeads = localPolicy(remote, reach);
  return "score" in evenHeads ? { evenHeads } : {};
}

function localEvidence(evidence: Evidence, reach: Reach): Evidence {
  switch (evidence.kind) {
    case "soft":
      return { ...evidence, tokens: localTokens(evidence.tokens, reach) };
    case "lookahead":
      return { ...evidence, draft: localPolicy(evidence.draft, reach) };
    default:
      return evidence;
  }
}

/** Soft tokens that the one in the sandbox gives for a model. */
function localTokens(
  tokens: (model: ModelFacts) => MaybePromise<SoftTokens>,
  { sandbox, lent, href }: Reach,
): (model: ModelFacts) => Promise<SoftTokens> {
  return async (model) => {
    const guarded = lent.guard(model);
    const given = await sandbox.limited("gave no soft tokens", async () => await tokens(guarded));
    checkSoftTokens(given, href);
    return given;
  };
}

/** Most bytes that a sandbox gets for one question about a layer that it asks at will. */
const MOST_BYTES = 64 * 2 ** 20;

/** A layer that computes no more at a time than we have memory for. */
function boundedView(layer: LayerView): LayerView {
  const most = Math.floor(MOST_BYTES / (layer.length * Float32Array.BYTES_PER_ELEMENT));
  return {
    ...layer,
    similarity(kvHead, tokens) {
      const count: unknown = tokens?.length;
      if (tokens instanceof Int32Array && tokens.length <= most) {
        return layer.similarity(kvHead, tokens);
      }
      throw new PolicyError(
        `'tokens' of similarity() must be an Int32Array of at most ${most}, got ${count}`,
      );
    },
  };
}

/** Checks the types; whether they fit the model is checked where they are used. */
function checkSoftTokens(given: unknown, href: string): asserts given is SoftTokens {
  const { embeddings, adapters } = (given ?? {}) as Partial<SoftTokens>;
  const tensors = Object.values(adapters?.tensors ?? {});
  if ([embeddings, ...tensors].every((one) => one instanceof Float32Array)) return;
  throw new PolicyError(
    `Policy ${href} broke its contract: 'tokens' must give soft tokens whose embeddings are a ` +
      "Float32Array",
  );
}
