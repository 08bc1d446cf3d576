import { assert, assertEquals } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { full } from "../../../policies/full.ts";
import { h2o } from "../../../policies/h2o.ts";
import { knorm } from "../../../policies/knorm.ts";
import type { Policy, ScorerPolicy } from "../../../policies/policy.ts";
import { rerotate } from "../../../policies/rerotate.ts";
import { snapKv } from "../../../policies/snapkv.ts";
import { whileDecoding } from "../../../policies/while_decoding.ts";
import { PromptError } from "../../../runtime/errors.ts";
import type { Session, SessionOptions } from "../../../runtime/session/session.ts";
import { assertClose } from "../../_close.ts";
import { randomIds, type TestModel } from "../../_test_model.ts";
import { openWindowSession, WINDOW_MODELS, windowModel } from "../../_window_models.ts";
import { whole } from "./_chat.ts";

/** Keeps so much behind windows that nothing need ever be read again. */
const ENDLESS = 100_000;

/** A window of queries that no slack holds. */
const wide = (): ScorerPolicy => snapKv({ window: 150 });

/** Policies, their budgets and the contexts of their sessions. */
const POLICIES: readonly (readonly [string, () => Policy, number, readonly number[]])[] = [
  ["full", full, 5000, [5000]],
  ["knorm", knorm, 60, [180, 400]],
  ["h2o while decoding", () => whileDecoding({ inner: h2o(), every: 170 }), 60, [230, 400]],
  [
    "a wide window while decoding",
    () => whileDecoding({ inner: wide(), every: 160, target: 155 }),
    170,
    [600, 1000],
  ],
  ["rerotated", () => rerotate({ inner: snapKv({ window: 8 }) }), 60, [180, 400]],
];

type Pair = readonly [usual: Session, endless: Session];

/** Two sessions that differ in what their windows remember. */
function pair({ model }: TestModel, options: SessionOptions & { readonly context: number }): Pair {
  return [
    openWindowSession(model, options),
    openWindowSession(model, { ...options, slack: ENDLESS }),
  ];
}

/** Does the same in both, and compares what they say. */
async function both<T>(pair: Pair, work: (session: Session) => Promise<T>): Promise<T> {
  const [one, two] = [await work(pair[0]), await work(pair[1])];
  assertEquals(one, two);
  assertEquals(pair[0].ids, pair[1].ids);
  assertEquals(pair[0].stats().held, pair[1].stats().held);
  return one;
}

/** The tokens of an answer to a question, or why there is no room for it. */
const asked = (text: string) => async (session: Session) => {
  try {
    return [...(await whole(session.ask(text, { maxTokens: 40 }))).ids];
  } catch (error) {
    if (error instanceof PromptError) return error.message;
    throw error;
  }
};

const answer = (maxTokens: number) => async (session: Session) => [
  ...(await whole(session.generate({ maxTokens }))).ids,
];

for (const name of WINDOW_MODELS) {
  for (const [policyName, policy, budget, contexts] of POLICIES) {
    Deno.test(`${name}: ${policyName} does the same whatever the windows remember`, async () => {
      await using test = await windowModel(name);
      await fc.assert(
        fc.asyncProperty(
          fc.array(
            fc.oneof(
              fc.record({
                kind: fc.constant("append" as const),
                count: fc.integer({ min: 1, max: 180 }),
              }),
              fc.record({
                kind: fc.constant("answer" as const),
                count: fc.integer({ min: 1, max: 220 }),
              }),
              fc.record({
                kind: fc.constant("ask" as const),
                count: fc.integer({ min: 1, max: 150 }),
              }),
              fc.record({ kind: fc.constant("mark" as const), count: fc.constant(0) }),
              fc.record({ kind: fc.constant("rollback" as const), count: fc.nat(5) }),
              fc.record({ kind: fc.constant("fork" as const), count: fc.constant(0) }),
            ),
            { minLength: 3, maxLength: 9 },
          ),
          fc.constantFrom(...contexts),
          async (steps, context) => {
            let sessions = pair(test, { policy: policy(), budget, context });
            await using owned = new AsyncDisposableStack();
            for (const each of sessions) owned.use(each);
            await both(sessions, async (session) => {
              await session.read({ ids: randomIds(90, 320) });
              return session.ids.length;
            });
            const marks: (readonly Awaited<ReturnType<Session["mark"]>>[])[] = [];
            for (const [at, { kind, count }] of steps.entries()) {
              const ids = randomIds(Math.max(1, count), 320, at + 2);
              if (kind === "append") {
                const [one, two] = [
                  await sessions[0].append({ ids }),
                  await sessions[1].append({ ids }),
                ];
                assertClose(one.logits, two.logits, { absolute: 1e-3 }, "logits");
                assertEquals(one.kept, two.kept);
              } else if (kind === "answer") await both(sessions, answer(count));
              else if (kind === "ask") await both(sessions, asked(ids.join(" ")));
              else if (kind === "mark") {
                marks.push([await sessions[0].mark(), await sessions[1].mark()]);
              } else if (kind === "fork") {
                const forks: Pair = [await sessions[0].fork(), await sessions[1].fork()];
                for (const each of forks) owned.use(each);
                await both(forks, answer(50));
                // Half of the time the forks go on.
                if (at % 2 === 0) {
                  sessions = forks;
                  marks.length = 0;
                }
              } else {
                const mark = marks[Math.min(count, marks.length - 1)];
                if (!mark) continue;
                marks.length = marks.indexOf(mark) + 1;
                for (const [index, one] of mark.entries()) await sessions[index]?.rollback(one);
              }
            }
            await both(sessions, answer(30));
          },
        ),
        { seed: 20261127, numRuns: 6 },
      );
    });
  }
}

Deno.test("an eviction reads again what windows have dropped since the last one", async () => {
  let evictions = 0;
  for (const name of WINDOW_MODELS) {
    await using test = await windowModel(name);
    for (const [, policy, budget] of POLICIES.slice(2, 4)) {
      const sessions = pair(test, { policy: policy(), budget, context: 2000 });
      await both(
        sessions,
        async (session) => (await session.read({ ids: randomIds(90, 320) })).kept,
      );
      await both(sessions, answer(600));
      evictions += sessions[0].stats().decodeEvictions;
      for (const session of sessions) await session[Symbol.asyncDispose]();
    }
  }
  assert(evictions >= 6, `${evictions} evictions`);
});
