import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import {
  type EvictionPolicy,
  OptionError,
  type Protection,
  type ScorerPolicy,
} from "../../../policies/policy.ts";
import { BudgetError, EvidenceError, PolicyError } from "../../../runtime/errors.ts";
import { selectKept } from "../../../runtime/evict/contract.ts";
import { lift } from "../../../runtime/evict/select.ts";
import { fakeLayer } from "../../_fake_layer.ts";

const layer = fakeLayer({ heads: 4, kvHeads: 2, headDim: 1, length: 5, layer: 7 });

function scorer(score: ScorerPolicy["score"], protect?: ScorerPolicy["protect"]): ScorerPolicy {
  return {
    name: "mine",
    evidence: { kind: "none" },
    score,
    ...(protect === undefined ? {} : { protect }),
  };
}

/** A policy in plain JavaScript may return anything. */
function answering(answer: unknown): EvictionPolicy {
  const select = () => answer;
  return { name: "mine", evidence: { kind: "none" }, select: select as EvictionPolicy["select"] };
}

Deno.test("selectKept() keeps the best tokens of each KV head", async () => {
  const policy = scorer(() => new Float32Array([1, 5, 2, 4, 3, 9, 0, 0, 0, 8]));
  assertEquals(await selectKept(policy, layer, 2), [
    new Int32Array([1, 3]),
    new Int32Array([0, 4]),
  ]);
});

Deno.test("selectKept() keeps sinks and recent tokens besides the best", async () => {
  const policy = scorer(() => new Float32Array([0, 1, 2, 3, 0, 0, 3, 2, 1, 0]), {
    sinks: 1,
    recent: 1,
  });
  assertEquals(await selectKept(policy, layer, 3), [
    new Int32Array([0, 3, 4]),
    new Int32Array([0, 1, 4]),
  ]);
  assertEquals(await selectKept(policy, layer, 2), [
    new Int32Array([0, 4]),
    new Int32Array([0, 4]),
  ]);
});

Deno.test("selectKept() tells the protection the tokens to keep and those cached", async () => {
  const seen: number[] = [];
  const protect = (keep: number, length: number): Protection => {
    seen.push(keep, length);
    return { recent: keep };
  };
  const kept = await selectKept(scorer(() => new Float32Array(10), protect), layer, 2);
  assertEquals(kept[1], new Int32Array([3, 4]));
  assertEquals(seen, [2, 5]);
});

Deno.test("pitfall 7, empty and full windows: selectKept() equals a plain selection for any scores and protection", async () => {
  const cases = fc.record({
    values: fc.array(fc.constantFrom(-1, 0, 0.5, 1, 2), { minLength: 2, maxLength: 40 }),
    keep: fc.nat(),
    sinks: fc.nat(),
    recent: fc.nat(),
  });
  await fc.assert(fc.asyncProperty(cases, async ({ values, ...numbers }) => {
    const { length } = values;
    const keep = 1 + numbers.keep % (length - 1);
    const sinks = numbers.sinks % (keep + 1);
    const recent = numbers.recent % (keep - sinks + 1);
    const policy = scorer(() => new Float32Array(values), { sinks, recent });
    const view = fakeLayer({ heads: 1, kvHeads: 1, headDim: 1, length });
    const [kept] = await selectKept(policy, view, keep);
    const rank = (index: number) =>
      index < sinks || index >= length - recent ? Infinity : values[index] ?? NaN;
    const order = [...values.keys()].sort((a, b) => {
      const [first, second] = [rank(a), rank(b)];
      return first === second ? a - b : second - first;
    });
    assertEquals(kept, Int32Array.from(order.slice(0, keep)).sort());
  }));
});

Deno.test("selectKept() keeps all of a short layer without asking the policy", async () => {
  const never = scorer(() => {
    throw new Error("asked");
  }, { recent: 32 });
  const all = new Int32Array([0, 1, 2, 3, 4]);
  for (const keep of [5, 6, 1e9]) assertEquals(await selectKept(never, layer, keep), [all, all]);
});

Deno.test("selectKept() refuses to keep less than is protected, with the numbers", async () => {
  await assertRejects(
    () => selectKept(scorer(() => new Float32Array(10), { sinks: 1, recent: 2 }), layer, 2),
    BudgetError,
    "Cannot keep 2 of 5 tokens in layer 7 with policy 'mine': it always keeps 3 (1 first, 2 last); " +
      "give a budget of at least 3 tokens or let the policy protect fewer",
  );
});

Deno.test("selectKept() refuses scores of the wrong kind or length, and NaN", async () => {
  const nan = new Float32Array(10);
  nan[8] = NaN;
  for (
    const [scores, message] of [
      [new Float32Array(9), "a Float32Array of 2 × 5 = 10 numbers, got 9 numbers"],
      [new Float64Array(10), "got Float64Array"],
      [Array.from({ length: 10 }, () => 0), "got Array"],
      [undefined, "got Undefined"],
      [nan, "the score of token 3 for KV head 1 is NaN"],
    ] as const
  ) {
    const score = (() => scores) as ScorerPolicy["score"];
    await assertRejects(
      () => selectKept(scorer(score), layer, 2),
      PolicyError,
      "Policy 'mine' broke its contract in layer 7: ",
    );
    await assertRejects(() => selectKept(scorer(score), layer, 2), PolicyError, message);
  }
});

Deno.test("selectKept() refuses protection that is no count", async () => {
  for (const recent of [-1, 0.5, NaN]) {
    await assertRejects(
      () => selectKept(scorer(() => new Float32Array(10), { recent }), layer, 2),
      PolicyError,
      `'recent' of what it protects must be an integer of at least 0, got ${recent}`,
    );
  }
});

Deno.test("selectKept() refuses a selection that breaks the contract", async () => {
  const two = new Int32Array([0, 1]);
  for (
    const [answer, message] of [
      [[two], "one array for each of 2 KV heads, got 1"],
      [null, "one array for each of 2 KV heads, got object"],
      [[two, [0, 1]], "KV head 1 must keep an Int32Array of 2 indices, got object"],
      [[new Int32Array([0]), two], "KV head 0 must keep an Int32Array of 2 indices, got 1 indices"],
      [[two, new Int32Array([1, 1])], "of KV head 1 must ascend and not repeat, got 1 after 1"],
      [[two, new Int32Array([3, 1])], "of KV head 1 must ascend and not repeat, got 1 after 3"],
      [[two, new Int32Array([3, 5])], "KV head 1 keeps token 5, there are 0 to 4"],
      [[new Int32Array([-1, 2]), two], "KV head 0 keeps token -1, there are 0 to 4"],
    ] as const
  ) {
    await assertRejects(() => selectKept(answering(answer), layer, 2), PolicyError, message);
  }
});

Deno.test("selectKept() names a policy that fails, and keeps the cause", async () => {
  const cause = new TypeError("x is undefined");
  const error = await assertRejects(
    () => selectKept(scorer(() => Promise.reject(cause)), layer, 2),
    PolicyError,
    "Policy 'mine' failed in layer 7: x is undefined",
  );
  assert(error.cause === cause);
});

Deno.test("selectKept() passes on errors that explain themselves", async () => {
  await assertRejects(
    () => selectKept(scorer(async ({ attention }) => await attention()), layer, 2),
    EvidenceError,
  );
  const refusing = scorer(() => Promise.reject(new OptionError("no")));
  await assertRejects(() => selectKept(refusing, layer, 2), OptionError);
});

Deno.test("lift() returns a policy that selects as it is, and keeps a scorer's other fields", () => {
  const selecting = answering([]);
  assert(lift(selecting) === selecting);
  const scoring: ScorerPolicy = {
    ...scorer(() => new Float32Array(10)),
    paper: "https://example.org",
    options: { a: 1 },
    allocate: () => [1],
    evicts: true,
  };
  const { select: _select, ...lifted } = lift(scoring);
  const { score: _score, ...others } = scoring;
  assertEquals<Record<string, unknown>>(lifted, others);
});
