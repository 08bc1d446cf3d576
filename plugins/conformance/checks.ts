import { OptionError } from "../../policies/policy.ts";
import { BudgetError } from "../../runtime/errors.ts";
import { selectKept } from "../../runtime/evict/contract.ts";
import { keepPerLayer } from "../../runtime/evict/allocate.ts";
import { BUDGETS, type Check, checkLayers, LAYERS, LENGTH, nameOf, scorerOf } from "./check.ts";

const scoresAllTokens: Check = {
  title: "scores every token with a finite number",
  async run(create) {
    const policy = scorerOf(await create());
    for (const layer of policy ? checkLayers() : []) {
      const scores: unknown = await policy?.score(layer);
      const count = layer.kvHeads * layer.length;
      if (!(scores instanceof Float32Array) || scores.length !== count) {
        const got = scores instanceof Float32Array ? `${scores.length} numbers` : typeof scores;
        return `score() must give a Float32Array of ${count} numbers in ${nameOf(layer)}, got ` +
          `${got}; give kvHeads × length, all tokens of the first head first`;
      }
      const at = scores.findIndex((score) => !Number.isFinite(score));
      if (at >= 0) {
        return `score() gives ${scores[at]} for token ${at % layer.length} of KV head ` +
          `${Math.floor(at / layer.length)} in ${nameOf(layer)}; give finite numbers, and use ` +
          "'protect' for tokens that must stay";
      }
    }
  },
};

const shortPrompts: Check = {
  title: "works on prompts of a few tokens",
  async run(create) {
    const policy = await create();
    for (const length of [1, 2, 3]) {
      for (const layer of checkLayers(length)) {
        await scorerOf(policy)?.score(layer);
        for (let keep = 1; keep < length; keep++) await kept(() => selectKept(policy, layer, keep));
      }
    }
  },
};

const sameAnswer: Check = {
  title: "gives the same answer twice",
  async run(create) {
    const once = await create();
    for (const keep of BUDGETS) {
      const twins = checkLayers();
      for (const [index, layer] of checkLayers().entries()) {
        const first = await kept(() => selectKept(once, layer, keep));
        const again = await create();
        const second = await kept(() => selectKept(again, twins[index] ?? layer, keep));
        if (!sameIndices(first, second)) {
          return `it keeps other tokens in ${nameOf(layer)} when it is asked again; draw random ` +
            "numbers from a seed, and do not use the time";
        }
      }
    }
  },
};

const noState: Check = {
  title: "keeps nothing between layers",
  async run(create) {
    const policy = await create();
    const ask = async (indices: readonly number[]) => {
      const answers = new Map<number, readonly Int32Array[] | undefined>();
      const layers = checkLayers();
      for (const index of indices) {
        const layer = layers[index];
        if (layer) answers.set(index, await kept(() => selectKept(policy, layer, LENGTH / 2)));
      }
      return answers;
    };
    const order = checkLayers().map((_, index) => index);
    const [forth, back] = [await ask(order), await ask(order.toReversed())];
    const changed = order.find((index) => !sameIndices(forth.get(index), back.get(index)));
    if (changed === undefined) return;
    return "it keeps other tokens when layers come in another order; compute each answer from the " +
      "layer alone";
  },
};

const exactBudget: Check = {
  title: "keeps exactly the budget, each token once and in order",
  async run(create) {
    const policy = await create();
    for (const keep of BUDGETS) {
      for (const layer of checkLayers()) {
        const heads = await kept(() => selectKept(policy, layer, keep));
        const count = policy.evicts === false ? LENGTH : keep;
        const shared = scorerOf(policy)?.allocateHeads !== undefined;
        for (const indices of heads ?? []) {
          const sorted = Int32Array.from(new Set(indices)).sort();
          const ordered = sorted.length === indices.length &&
            sorted.every((one, at) => one === indices[at]);
          if (ordered && (shared || indices.length === count)) continue;
          return `select() must give ${count} ascending indices for each KV head in ` +
            `${nameOf(layer)}, got ${indices.length}; give each index once`;
        }
        const total = heads?.reduce((sum, { length }) => sum + length, 0);
        if (total === undefined || total === count * layer.kvHeads) continue;
        return `allocateHeads() must give out ${count} × ${layer.kvHeads} tokens in ` +
          `${nameOf(layer)}, it gave ${total}`;
      }
    }
  },
};

const evenHeads: Check = {
  title: "keeps as many of each head where a wrapper divides its budget",
  async run(create) {
    const even = scorerOf(await create())?.evenHeads;
    if (even === undefined) return;
    for (const keep of BUDGETS) {
      for (const layer of checkLayers()) {
        const heads = await kept(() => selectKept(even, layer, keep));
        const other = heads?.find(({ length }) => length !== keep);
        if (other === undefined) continue;
        return `'evenHeads' must keep ${keep} tokens of each KV head in ${
          nameOf(layer)
        }, it keeps ` +
          `${other.length}; give it no 'threshold'`;
      }
    }
  },
};

const keepsProtected: Check = {
  title: "keeps what it protects",
  async run(create) {
    const policy = scorerOf(await create());
    if (policy === undefined) return;
    for (const keep of BUDGETS) {
      const { protect = {} } = policy;
      const { sinks = 0, recent = 0 } = typeof protect === "function"
        ? await protect(keep, LENGTH)
        : protect;
      for (const layer of checkLayers()) {
        for (const indices of await kept(() => selectKept(policy, layer, keep)) ?? []) {
          const held = (at: number) => indices.includes(at);
          const missing = Array.from({ length: sinks }, (_, at) => at)
            .concat(Array.from({ length: recent }, (_, at) => LENGTH - 1 - at))
            .find((at) => !held(at));
          if (missing !== undefined) {
            return `token ${missing} is protected and not kept in ${
              nameOf(layer)
            }; give 'protect' ` +
              "whole numbers";
          }
        }
      }
    }
  },
};

const inputAlone: Check = {
  title: "leaves its input alone",
  async run(create) {
    const policy = await create();
    const fresh = checkLayers();
    for (const [index, layer] of checkLayers().entries()) {
      await kept(() => selectKept(policy, layer, LENGTH / 2));
      const twin = fresh[index] ?? layer;
      for (const read of ["keys", "values", "attention"] as const) {
        if (sameNumbers(await layer[read](), await twin[read]())) continue;
        return `it writes into ${read}(); copy what you change, as in (await layer.${read}()).slice()`;
      }
      if (!sameNumbers(layer.positions, twin.positions)) {
        return "it writes into 'positions'; copy what you change, as in layer.positions.slice()";
      }
    }
  },
};

const fullBudget: Check = {
  title: "keeps everything within a full budget",
  async run(create) {
    const policy = await create();
    for (const keep of [LENGTH, LENGTH + 1]) {
      for (const layer of checkLayers()) {
        const heads = await selectKept(policy, layer, keep);
        if (heads.every((indices) => indices.length === LENGTH)) continue;
        return `it drops tokens of ${nameOf(layer)} although all fit; keep them all`;
      }
    }
  },
};

const wholeBudget: Check = {
  title: "gives out the whole budget",
  async run(create) {
    const policy = await create();
    const shape = { layers: LAYERS, kvHeads: 2, headDim: 8 };
    for (const budget of BUDGETS) {
      const counts = await keepPerLayer(policy, { length: LENGTH, budget, shape });
      const total = counts.reduce((sum, count) => sum + count, 0);
      const expected = LAYERS * (policy.evicts === false ? LENGTH : budget);
      if (total === expected) continue;
      return `allocate() gives out ${total} tokens of ${expected}; give one number for each layer ` +
        "that sum to layers × budget";
    }
  },
};

const declaredEvidence: Check = {
  title: "asks only for evidence that it declares",
  async run(create) {
    const policy = await create();
    if (policy.evidence.kind !== "none") return;
    let asked = false;
    const refuse = () => {
      asked = true;
      return Promise.reject(new Error("it declares no such evidence"));
    };
    const none = {
      attention: refuse,
      groupAttention: refuse,
      draftAttention: refuse,
      expectedLogits: refuse,
    };
    for (const layer of checkLayers()) {
      const problem = await selectKept(policy, { ...layer, ...none }, LENGTH / 2).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (asked) {
        return "it reads attention and declares evidence of kind 'none'; declare " +
          '{ kind: "window", size: 32 }, { kind: "accumulated" } or what else it needs';
      }
      if (problem !== undefined && !(problem instanceof BudgetError)) throw problem;
    }
  },
};

const refusesOptions: Check = {
  title: "refuses unknown options and options of the wrong kind",
  advice: true,
  async run(create) {
    for (const given of [{ nonsense: 1 }, []]) {
      const problem = await create(given).then(() => undefined, (error: unknown) => error);
      if (problem instanceof OptionError) continue;
      const got = JSON.stringify(given);
      return problem === undefined
        ? `it takes the options ${got} without a word, so that a misspelt option goes unnoticed; ` +
          "throw an OptionError that says which options there are"
        : `it refuses the options ${got} with an error of another class; throw an OptionError`;
    }
  },
};

/** What every policy does, the cheapest first. */
export const CHECKS: readonly Check[] = [
  scoresAllTokens,
  shortPrompts,
  sameAnswer,
  noState,
  exactBudget,
  evenHeads,
  keepsProtected,
  inputAlone,
  fullBudget,
  wholeBudget,
  declaredEvidence,
  refusesOptions,
];

/** What was kept; nothing where the budget is smaller than what is protected. */
async function kept<T>(evict: () => Promise<T>): Promise<T | undefined> {
  try {
    return await evict();
  } catch (error) {
    if (error instanceof BudgetError) return undefined;
    throw error;
  }
}

type Numbers = Float32Array | Int32Array;

function sameNumbers(a: Numbers, b: Numbers): boolean {
  return a.length === b.length && a.every((one, at) => one === b[at]);
}

function sameIndices(
  a: readonly Int32Array[] | undefined,
  b: readonly Int32Array[] | undefined,
): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.length === b.length && a.every((one, at) => sameNumbers(one, b[at] ?? one.slice(1)));
}
