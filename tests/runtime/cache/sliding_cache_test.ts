import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "npm:fast-check@4.10.2";
import { bytesPerToken } from "../../../runtime/cache/bytes_per_token.ts";
import { fillHostCache, hostCopy } from "../../../runtime/cache/fill_host_cache.ts";
import { createHostCache } from "../../../runtime/cache/host_cache.ts";
import type { CacheMark, HostKvCache } from "../../../runtime/cache/kv_cache.ts";

const SHAPE = { layers: 3, kvHeads: 2, headDim: 2 };
const ROW = SHAPE.kvHeads * SHAPE.headDim;

/** A token of the model: where it stands and which text it is of. */
interface Token {
  readonly position: number;
  readonly text: number;
}

function rows(tokens: readonly Token[]): Float32Array {
  return Float32Array.from(
    tokens.flatMap(({ position, text }) =>
      Array.from({ length: ROW }, (_, index) => position + text / 16 + index / 1024)
    ),
  );
}

function append(cache: HostKvCache, tokens: readonly Token[]): void {
  const keys = rows(tokens);
  for (let layer = 0; layer < cache.layers; layer++) {
    cache.append(layer, keys, keys.map((key) => -key), tokens[0]?.position ?? 0);
  }
}

function shown(window: number | undefined, tokens: readonly Token[]): readonly Token[] {
  return window === undefined ? tokens : tokens.slice(Math.max(0, tokens.length - (window - 1)));
}

function assertShows(cache: HostKvCache, text: readonly Token[]): void {
  for (let layer = 0; layer < cache.layers; layer++) {
    const tokens = shown(cache.window(layer), text);
    const keys = rows(tokens);
    assertEquals(cache.keys(layer), keys);
    assertEquals(cache.values(layer), keys.map((key) => -key));
    const positions = tokens.map(({ position }) => position);
    assertEquals([...cache.positions(layer)], [...positions, ...positions]);
    assertEquals([cache.length(layer), ...cache.lengths(layer)], new Array(3).fill(tokens.length));
    assertEquals(cache.segments(layer), undefined);
    const second = cache.head(layer, 1);
    const ofHead = tokens.map((_, token) =>
      keys.subarray(token * ROW + SHAPE.headDim, (token + 1) * ROW)
    );
    assertEquals([...second.keys], ofHead.flatMap((one) => [...one]));
    assertEquals([...second.positions], positions);
  }
}

type Step =
  | { readonly do: "append"; readonly tokens: number }
  | { readonly do: "reserve"; readonly tokens: number }
  | { readonly do: "mark" | "hold" | "rollback" | "release" | "fork"; readonly which: number }
  | { readonly do: "drop"; readonly tokens: number };

const appended = fc.record({ do: fc.constant("append"), tokens: fc.nat(9) });
const marked = fc.record({
  do: fc.constantFrom("mark", "hold", "rollback", "release", "fork"),
  which: fc.nat(7),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  ...[appended, appended, appended],
  ...[marked, marked, marked],
  fc.record({ do: fc.constant("append"), tokens: fc.nat(80) }),
  fc.record({ do: fc.constant("reserve"), tokens: fc.nat(90) }),
  fc.record({ do: fc.constant("drop"), tokens: fc.nat(12) }),
);
const steps = fc.array(step, { maxLength: 40 });

interface Marked {
  readonly mark: CacheMark;
  readonly text: readonly Token[];
  hold?: Disposable;
}

Deno.test("a sliding cache shows the end of a plain list, whatever is done to it", () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 24 }), fc.nat(9), (all, window, slack) => {
      using stack = new DisposableStack();
      let cache = stack.use(createHostCache({ ...SHAPE, windows: [window, undefined, 7], slack }));
      let text: Token[] = [];
      let marks: Marked[] = [];
      let texts = 0;
      let longest = 0;
      const lengths = () => [text.length, text.length, text.length];
      for (const step of all) {
        switch (step.do) {
          case "append": {
            const from = text.length;
            const added = Array.from(
              { length: step.tokens },
              (_, index) => ({ position: from + index, text: texts }),
            );
            append(cache, added);
            text.push(...added);
            break;
          }
          case "reserve":
            cache.reserve(step.tokens);
            break;
          case "drop": {
            const mark = { lengths: lengths().map((length) => length - step.tokens) };
            const possible = cache.canRollBack(mark);
            if (step.tokens === 0) assert(possible);
            if (!possible) {
              assertThrows(() => cache.rollback(mark), RangeError, "Cannot roll back");
              assertThrows(() => cache.fork(mark), RangeError, "Cannot fork");
              break;
            }
            cache.rollback(mark);
            text = text.slice(0, text.length - step.tokens);
            marks = marks.filter((one) => one.text.length <= text.length);
            texts++;
            break;
          }
          case "mark":
            marks.push({ mark: cache.mark(), text: text.slice() });
            break;
          case "hold": {
            const marked = marks[step.which % Math.max(1, marks.length)];
            if (!marked || !cache.canRollBack(marked.mark)) break;
            const hold = cache.hold(marked.mark);
            stack.use(hold);
            marked.hold?.[Symbol.dispose]();
            marked.hold = hold;
            break;
          }
          case "release": {
            const marked = marks[step.which % Math.max(1, marks.length)];
            marked?.hold?.[Symbol.dispose]();
            delete marked?.hold;
            break;
          }
          case "rollback":
          case "fork": {
            const marked = marks[step.which % Math.max(1, marks.length)];
            if (!marked) break;
            const possible = cache.canRollBack(marked.mark);
            if (marked.hold) assert(possible, "a mark is held and cannot be rolled back to");
            if (!possible) break;
            if (step.do === "fork") {
              const fork = stack.use(cache.fork(marked.mark));
              assertShows(cache, text);
              cache[Symbol.dispose]();
              cache = fork;
            } else {
              cache.rollback(marked.mark);
            }
            text = marked.text.slice();
            marks = marks.filter((one) => one.text.length <= text.length);
            texts++;
          }
        }
        assertShows(cache, text);
        longest = Math.max(longest, text.length);
        assertEquals(cache.mark().lengths, lengths());
        for (const { hold, mark } of marks) if (hold) assert(cache.canRollBack(mark));
      }
      for (const { hold } of marks) hold?.[Symbol.dispose]();
      const most = [window, 7].reduce((sum, one) => sum + 1.25 * (one - 1 + slack) + 17, 0);
      // Rolling back gives no memory of the global layer back.
      const held = cache.bytes / bytesPerToken({ ...SHAPE, layers: 1 });
      assert(held <= most + 1.5 * longest + 100, `${held} tokens of ${longest}`);
    }),
    { numRuns: 300 },
  );
});

Deno.test("a sliding cache takes the memory of its window, however long the text", () => {
  const shape = { layers: 1, kvHeads: 2, headDim: 64 };
  using cache = createHostCache({ ...shape, windows: [513] });
  const most = Math.ceil(1.25 * (512 + 128)) * bytesPerToken(shape);
  const chunk = new Float32Array(256 * 128);
  for (let position = 0; position < 40 * 256; position += 256) {
    cache.reserve(10_000);
    cache.append(0, chunk, chunk, position);
    assert(cache.bytes <= most, `${cache.bytes} bytes of ${most}`);
  }
  const token = chunk.subarray(0, 128);
  for (let position = 10_240; position < 12_000; position++) {
    cache.append(0, token, token, position);
    assert(cache.bytes <= most);
  }
  assertEquals(cache.positions(0)[0], 12_000 - 512);
});

Deno.test("a sliding cache rolls back over its slack, and over more only where a mark is held", () => {
  using cache = createHostCache({ ...SHAPE, windows: [5, undefined, 9], slack: 6 });
  const text = Array.from({ length: 400 }, (_, position) => ({ position, text: 0 }));
  append(cache, text.slice(0, 50));
  const bytes = cache.bytes;
  const mark = cache.mark();
  using hold = cache.hold(mark);
  assertEquals(cache.bytes, bytes);
  for (let at = 50; at < 400; at += 5) append(cache, text.slice(at, at + 5));
  const held = cache.bytes;
  cache.rollback({ lengths: [394, 394, 394] });
  assertShows(cache, text.slice(0, 394));
  assertThrows(
    () => cache.rollback({ lengths: [300, 300, 300] }),
    RangeError,
    "Cannot roll back layer 0 of the KV cache to 300 tokens: it was given 394 and its window has moved on",
  );
  assertThrows(() => cache.hold({ lengths: [300, 300, 300] }), RangeError, "Cannot hold a mark");
  using fork = cache.fork();
  fork.rollback(mark);
  assertShows(fork, text.slice(0, 50));
  using early = cache.fork(mark);
  assertShows(early, text.slice(0, 50));
  hold[Symbol.dispose]();
  assertEquals(held - cache.bytes, (4 + 8) * bytesPerToken({ ...SHAPE, layers: 1 }));
  assert(!cache.canRollBack(mark));
});

Deno.test("a sliding cache is no part of a compaction, and all that it keeps is rerotated", () => {
  using cache = createHostCache({ ...SHAPE, windows: [4, undefined, 4], slack: 2 });
  const text = Array.from({ length: 90 }, (_, position) => ({ position, text: 0 }));
  append(cache, text.slice(0, 20));
  const mark = cache.mark();
  using _hold = cache.hold(mark);
  append(cache, text.slice(20, 90));
  const some = Int32Array.of(1, 5);
  assertThrows(
    () => cache.compact(0, [some.subarray(0, 1), some.subarray(0, 1)]),
    RangeError,
    "Cannot compact layer 0 of the KV cache: it slides, and keeps the last 3 tokens",
  );
  const all = Int32Array.of(0, 1, 2);
  cache.compact(0, [all, all]);
  const first = Int32Array.from({ length: 40 }, (_, at) => at);
  cache.compact(1, [first, first]);
  assert(cache.canRollBack(mark));
  const to = Int32Array.of(17, 18, 19);
  cache.rerotate(0, { frequencies: new Float32Array(1), to: [to, to] });
  assertEquals([...cache.positions(0)], [17, 18, 19, 17, 18, 19]);
  const before = cache.keys(0).slice();
  cache.rerotate(0, { frequencies: Float32Array.of(0.5), to: [all, all] });
  for (const [index, value] of cache.keys(0).entries()) {
    const pair = index % 2 === 0 ? index + 1 : index - 1;
    const sign = index % 2 === 0 ? -1 : 1;
    const expected = (before[index] ?? 0) * Math.cos(-8.5) +
      sign * (before[pair] ?? 0) * Math.sin(-8.5);
    assert(Math.abs(value - expected) < 1e-3);
  }
  cache.rollback({ lengths: cache.mark().lengths.map((length) => length - 2) });
  assertEquals([...cache.positions(0)], [-2, -1, 0, -2, -1, 0]);
  cache.rollback(mark);
  assertEquals([...cache.positions(0)], [-70, -69, -68, -70, -69, -68]);
  assertEquals([...cache.positions(2)], [17, 18, 19, 17, 18, 19]);
});

Deno.test("fillHostCache() and hostCopy() bring back what a sliding layer showed and may go back to", async () => {
  using cache = createHostCache({ ...SHAPE, windows: [5, undefined, 9], slack: 6 });
  const text = Array.from({ length: 60 }, (_, position) => ({ position, text: 1 }));
  append(cache, text);
  using copy = await hostCopy(cache);
  assertShows(copy, text);
  assertEquals(copy.mark(), cache.mark());
  copy.rollback({ lengths: [54, 54, 54] });
  assertShows(copy, text.slice(0, 54));
  const shape = { layers: 1, kvHeads: 1, headDim: 1, windows: [4] };
  const fill = (positions: number[]) => () => Int32Array.from(positions);
  using full = fillHostCache(shape, [[4]], fill([6, 7, 8, 9]));
  assertEquals([...full.positions(0)], [7, 8, 9]);
  full.rollback({ lengths: full.mark().lengths.map((length) => length - 1) });
  assertEquals([...full.positions(0)], [6, 7, 8]);
  assert(!full.canRollBack({ lengths: full.mark().lengths.map((length) => length - 1) }));
  using whole = fillHostCache({ ...shape, given: [4] }, [[4]], fill([0, 1, 2, 3]));
  whole.rollback({ lengths: [1] });
  assertEquals([...whole.positions(0)], [0]);
  assertThrows(
    () => fillHostCache({ ...shape, kvHeads: 2 }, [[3, 2]], fill([0, 1, 2, 0, 1])),
    RangeError,
    "Cannot fill layer 0 of a KV cache: it slides",
  );
});

Deno.test("createHostCache() refuses windows that are none", () => {
  for (const bad of [0, -1, 1.5, NaN]) {
    assertThrows(
      () => createHostCache({ ...SHAPE, windows: [4, bad, 4] }),
      RangeError,
      "'windows'",
    );
    if (bad !== 0) {
      assertThrows(() => createHostCache({ ...SHAPE, slack: bad }), RangeError, "'slack'");
    }
  }
  assertThrows(() => createHostCache({ ...SHAPE, windows: [4] }), RangeError, "each of 3 layers");
  using cache = createHostCache({ ...SHAPE, windows: [1, 2, undefined] });
  append(cache, [{ position: 0, text: 0 }, { position: 1, text: 0 }]);
  assertEquals([0, 1, 2].map((layer) => cache.length(layer)), [0, 1, 2]);
  assertEquals([0, 1, 2].map((layer) => cache.window(layer)), [1, 2, undefined]);
});
