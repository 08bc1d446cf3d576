import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { checkPlugin, type PluginReport } from "../../../plugins/conformance/check_plugin.ts";
import {
  type LayerView,
  OptionError,
  type Policy,
  type ScorerPolicy,
} from "../../../policies/policy.ts";
import { PolicyError } from "../../../runtime/errors.ts";

/** Scores that rank tokens by their place, for `change` to spoil. */
function plain({ kvHeads, length }: LayerView): Float32Array {
  return Float32Array.from({ length: kvHeads * length }, (_, index) => index % length);
}

function scorer(change: Partial<ScorerPolicy> = {}): Policy {
  return { name: "mine", evidence: { kind: "none" }, score: plain, ...change };
}

/** What is not right, with what is said about it. */
function complaints({ results }: PluginReport): Record<string, string> {
  return Object.fromEntries(
    results.filter(({ outcome }) => outcome === "broken")
      .map(({ title, problem = "" }) => [title, problem]),
  );
}

Deno.test("checkPlugin() finds nothing wrong with a plain scorer but that it takes any option", async () => {
  const report = await checkPlugin(() => Promise.resolve(scorer()));
  assertEquals([report.name, report.kind, report.evidence], ["mine", "scorer", "none"]);
  assertEquals(complaints(report), {});
  assertEquals(report.results.filter(({ outcome }) => outcome === "advice").length, 1);
  const strict = await checkPlugin((options = {}) => {
    if (Array.isArray(options) || Object.keys(options).length > 0) throw new OptionError("none");
    return Promise.resolve(scorer());
  });
  assert(strict.results.every(({ outcome }) => outcome === "ok"));
});

/** Faults by the check that must find them, and what it must say. */
const FAULTS: Readonly<Record<string, readonly [policy: () => Policy, says: RegExp]>> = {
  "scores every token with a finite number": [
    () => scorer({ score: (layer) => plain(layer).fill(Infinity, 0, 1) }),
    /score\(\) gives Infinity for token 0 of KV head 0 .* use 'protect'/,
  ],
  "works on prompts of a few tokens": [
    () =>
      scorer({
        score(layer) {
          if (layer.length < 3) throw new Error("too short");
          return plain(layer);
        },
      }),
    /too short/,
  ],
  "gives the same answer twice": [
    () => {
      const lucky = calls++ % 2;
      return scorer({ score: (layer) => plain(layer).map((score) => lucky ? score : -score) });
    },
    /it keeps other tokens .* when it is asked again; draw random numbers from a seed/,
  ],
  "keeps nothing between layers": [
    () => {
      let seen = 0;
      const score = (layer: LayerView) => {
        const sign = seen++ % 2 === 0 ? 1 : -1;
        return plain(layer).map((score) => sign * score);
      };
      return scorer({ score });
    },
    /when layers come in another order/,
  ],
  "keeps exactly the budget, each token once and in order": [
    () => ({
      name: "mine",
      evidence: { kind: "none" },
      select: ({ kvHeads }, keep) =>
        Array.from({ length: kvHeads }, () => new Int32Array(keep).fill(3)),
    }),
    /must ascend and not repeat, got 3 after 3/,
  ],
  "keeps what it protects": [
    () => scorer({ protect: () => ({ sinks: 1, recent: -2 }) }),
    /'recent' of what it protects must be an integer of at least 0, got -2/,
  ],
  "leaves its input alone": [
    () =>
      scorer({
        async score(layer) {
          (await layer.keys())[5] = 9;
          return plain(layer);
        },
      }),
    /it writes into keys\(\); copy what you change/,
  ],
  "gives out the whole budget": [
    () => scorer({ allocate: ({ layers }) => Array(layers).fill(1) }),
    /'allocate' must give out 3 × 48 = 144 tokens, it gave 3/,
  ],
  "asks only for evidence that it declares": [
    () => scorer({ score: (layer) => layer.groupAttention() }),
    /declares evidence of kind 'none'; declare \{ kind: "window"/,
  ],
};

let calls = 0;

for (const [title, [create, says]] of Object.entries(FAULTS)) {
  Deno.test(`checkPlugin() says of a policy that it never ${title}`, async () => {
    const report = await checkPlugin(() => Promise.resolve(create()));
    assertMatch(complaints(report)[title] ?? "nothing was found", says);
  });
}

Deno.test("checkPlugin() checks a wrapper around a policy with attention and one without", async () => {
  const wrapper = (options: { readonly inner?: ScorerPolicy } = {}): Promise<Policy> => {
    const { inner } = options;
    if (inner === undefined) throw new TypeError("what shall I wrap?");
    return Promise.resolve({ ...inner, name: "outer" });
  };
  const report = await checkPlugin(async (options) => await wrapper(options));
  assertEquals([report.name, report.kind], ["outer", "wrapper"]);
  assertEquals(complaints(report), {});
  assert(report.results.some(({ title }) => title.endsWith("around a policy that is attentive")));
  const forgetful = await checkPlugin(async (options) =>
    await wrapper(options).then((policy) => ({ ...policy, evidence: { kind: "none" } }))
  );
  assertEquals(Object.keys(complaints(forgetful)), [
    "asks only for evidence that it declares, around a policy that is attentive",
  ]);
});

Deno.test("checkPlugin() passes on why a plugin makes no policy at all", async () => {
  const create = () => Promise.reject(new PolicyError("no policy today"));
  await assertRejects(() => checkPlugin(create), PolicyError, "no policy today");
});
