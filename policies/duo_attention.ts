import { sharedBySize } from "./_best_of_heads.ts";
import {
  dividedByGate,
  dividedByKind,
  type Gates,
  gatesOf,
  kindsOf,
  scoreByKind,
} from "./_duo_heads.ts";
import { expression } from "./_expression.ts";
import { shownOptions } from "./_file_fitted.ts";
import { makePolicy } from "./_make.ts";
import { modelFileFor, noFileNote, oncePerModel } from "./_model_file.ts";
import type { OptionsOf, PolicyAbout } from "./_options.ts";
import { evenInside, innerForModel } from "./_wrap.ts";
import { policyMembers } from "./contract/members.ts";
import { OptionError, type ScorerPolicy } from "./policy.ts";

/** What the registry says about {@linkcode duoAttention}. */
export const about = {
  name: "duo_attention",
  summary: "Heads that look far back keep everything, the others their first and last tokens.",
  paper: "https://arxiv.org/abs/2410.10819",
  options: {
    inner: {
      kind: "policy",
      about: "policy that evicts from retrieval heads; when absent they keep everything, and the " +
        "budget decides how many they are",
    },
    heads: {
      kind: "model_file",
      about: "file of how far back each head looks, made by `kvjudge train duo-attention`; when " +
        "absent that which comes with the project for the model",
    },
    sinks: {
      kind: "integer",
      min: 0,
      default: 16,
      about: "first tokens that a streaming head keeps",
    },
    recent: {
      kind: "integer",
      min: 1,
      default: 64,
      about: "last tokens that a streaming head keeps",
    },
    streaming: {
      kind: "number",
      min: 0,
      max: 1,
      about: "with an inner policy: share of the heads that stream; 0.5 when absent",
    },
  },
} as const satisfies PolicyAbout;

/** Options of {@linkcode duoAttention}. */
export type DuoAttentionOptions = OptionsOf<typeof about>;

const NEEDS = { policy: about.name, make: "kvjudge train duo-attention" };

/**
 * DuoAttention: some KV heads look far back (retrieval heads), the others at their first and last tokens alone
 * (streaming heads), and which are which is a property of the model. Streaming heads keep `sinks` and `recent`
 * tokens. Retrieval heads keep everything: as many heads as the budget allows, those that look back most first;
 * what is left over lengthens the last tokens of the next one. Where a budget is less than all streaming heads
 * would keep, each head keeps the same. With an `inner` policy a fixed share of the heads streams, and the
 * others divide what is left evenly, by its scores; of one that divides budgets itself its even-headed one is
 * taken.
 *
 * How far back heads look is measured once, by `kvjudge train duo-attention`: what answers that are copied from
 * a prompt make of the tokens between the first and the last ones. A file of another
 * model is refused; those that come with the project are in `policies/model_files/`.
 *
 * Differs from the paper: gates are measured from attention to known answers, where its authors train them by
 * gradient against the full model's outputs, which takes hours on GPUs; the budget decides how many heads
 * retrieve, where theirs follows from a share; fewer first and last tokens by default (64 and 256 there), for
 * texts of a few thousand tokens.
 *
 * @throws {OptionError} If an option is unknown or out of range, `streaming` is given without an inner policy,
 * or the policy inside divides its budget itself and has no even-headed one. When a prompt is read: if the file
 * was made for another model or policy, or does not fit it.
 *
 * @example
 * ```ts
 * import { duoAttention } from "./duo_attention.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const gates = { shape: [1, 3], data: Float32Array.of(0.1, 0.9, 0.5) };
 * const heads = { kind: "duo_attention", tensors: { gates } };
 * const policy = duoAttention({ heads, sinks: 1, recent: 3 });
 * const model = { fingerprint: "abc" } as Parameters<NonNullable<typeof policy.forModel>>[0];
 * const { allocateHeads } = await policy.forModel?.(model) ?? {};
 * const scores = [0, 1, 2].map(() => new Float32Array(20));
 * // 36 tokens: 4 for each, 16 more for the head with the largest gate, and 8 are left for the next.
 * assertEquals(await allocateHeads?.({ scores, keep: 12 }), [4, 20, 12]);
 * ```
 */
export function duoAttention(options: DuoAttentionOptions = {}): ScorerPolicy {
  return makePolicy(about, evenInside(options), (settings) => {
    const { inner, heads, sinks, recent, streaming = 0.5 } = settings;
    const refuse = (reason: string) =>
      new OptionError(`Cannot wrap '${inner?.name}' in '${about.name}': ${reason}`);
    if (inner?.allocateHeads) throw refuse("it divides its budget among the heads itself");
    if (inner?.allocate) throw refuse("it divides its budget among the layers itself");
    if (inner?.secondStage) throw refuse("it chooses in two stages, and heads that stream in none");
    if (!inner && settings.streaming !== undefined) {
      throw new OptionError(
        `Cannot make policy '${about.name}': 'streaming' is for an inner policy; without one the budget ` +
          "decides how many heads keep everything",
      );
    }
    const described = {
      options: shownOptions({
        ...settings,
        inner: inner && expression(inner),
        streaming: inner && streaming,
      }, { heads }),
      acrossLayers: true,
    } as const;
    const size = { sinks, recent };
    const made = (judge: ScorerPolicy | undefined, gates: Gates | undefined) => {
      const kinds = gates && judge ? kindsOf(gates, streaming) : undefined;
      return {
        ...(judge ? membersWithin(judge) : { evidence: { kind: "none" } as const }),
        ...described,
        score: scoreByKind(judge, kinds, sinks),
        allocateHeads: sharedBySize((request) =>
          judge ? dividedByKind(request, kinds, size) : dividedByGate(request, gates, size)
        ),
      };
    };
    return {
      ...made(inner, undefined),
      forModel: oncePerModel(async (model): Promise<ScorerPolicy> => {
        const judge = inner && await innerForModel(inner, model);
        const file = await modelFileFor(heads, NEEDS, model);
        const instead = inner
          ? "no head streams"
          : "every head keeps its first and last tokens alone";
        const notes = [judge?.note, file ? undefined : noFileNote(NEEDS, instead)].filter((one) =>
          one
        );
        return {
          name: about.name,
          paper: about.paper,
          ...made(judge, file && gatesOf(file)),
          ...(notes.length > 0 ? { note: notes.join("; ") } : {}),
        };
      }),
    };
  });
}

/** All that an inner policy has, but for what it is called and how it is made for a model. */
function membersWithin(inner: ScorerPolicy): Omit<ScorerPolicy, "name" | "paper"> {
  const { name: _name, paper: _paper, forModel: _forModel, note: _note, ...members } =
    policyMembers(
      inner,
    );
  return members;
}

export default duoAttention;
