import {
  type Evidence,
  type LayerView,
  type ModelFacts,
  OptionError,
  type Policy,
  type PolicyBase,
  type SoftTokens,
} from "../../policies/policy.ts";
import { KvjudgeError, PolicyError } from "../../runtime/errors.ts";
import { checkPolicy } from "../check_policy.ts";
import { noFactory, type PolicyFactory } from "../plugin.ts";
import { CREATE } from "./inside.ts";
import { lendPolicies, type LentPolicies } from "./lend_policy.ts";
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
        throw new PolicyError(`Cannot make the policy of ${href}: ${reason}`, { cause });
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

/** A policy here that asks the one in the sandbox. */
function localPolicy(remote: unknown, reach: Reach): Policy {
  const { sandbox, lent, href } = reach;
  checkPolicy(remote, href);
  const { name, paper, options, evicts, phases, positions, first, allocate } = remote;
  const base: PolicyBase = {
    name,
    evidence: localEvidence(remote.evidence, reach),
    ...(paper === undefined ? {} : { paper }),
    ...(options === undefined ? {} : { options: Object.freeze({ ...options }) }),
    ...(evicts === undefined ? {} : { evicts }),
    ...(phases === undefined ? {} : { phases }),
    ...(positions === undefined ? {} : { positions }),
    ...(first === undefined
      ? {}
      : { first: { ...first, policy: localPolicy(first.policy, reach) } }),
    ...(allocate === undefined ? {} : {
      allocate: (request) =>
        sandbox.limited("divided no budget", async () => await allocate(request)),
    }),
  };
  const asked = <T>(
    what: string,
    layer: LayerView,
    ask: (layer: LayerView) => T | Promise<T>,
  ): Promise<T> => {
    lent.sawLayer(layer);
    return sandbox.limited(what, async () => await ask(boundedView(layer)));
  };
  if ("select" in remote) {
    return Object.freeze<Policy>({
      ...base,
      select: (layer, keep) =>
        asked("selected no tokens", layer, (view) => remote.select(view, keep)),
    });
  }
  const { protect, allocateHeads, secondStage } = remote;
  return Object.freeze<Policy>({
    ...base,
    ...(protect === undefined ? {} : {
      protect: typeof protect !== "function"
        ? { ...protect }
        : (keep, length) =>
          sandbox.limited("protected nothing", async () => await protect(keep, length)),
    }),
    ...(allocateHeads === undefined ? {} : {
      allocateHeads: (request) =>
        sandbox.limited("divided no budget", async () => await allocateHeads(request)),
    }),
    ...(secondStage === undefined ? {} : {
      secondStage: {
        first: secondStage.first,
        rescore: (layer, scores) =>
          asked("gave no scores", layer, (view) => secondStage.rescore(view, scores)),
      },
    }),
    score: (layer) => asked("gave no scores", layer, (view) => remote.score(view)),
  });
}

function localEvidence(evidence: Evidence, reach: Reach): Evidence {
  const { sandbox, lent, href } = reach;
  switch (evidence.kind) {
    case "soft": {
      const { tokens } = evidence;
      return {
        kind: "soft",
        async tokens(model: ModelFacts) {
          const guarded = lent.guard(model);
          const given = await sandbox.limited(
            "gave no soft tokens",
            async () => await tokens(guarded),
          );
          checkSoftTokens(given, href);
          return given;
        },
      };
    }
    case "lookahead":
      return { ...evidence, draft: localPolicy(evidence.draft, reach) };
    default:
      return evidence;
  }
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
