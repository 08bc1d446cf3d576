import { assertEquals, assertThrows } from "@std/assert";
import { judgeDocument } from "../../policies/judge_document.ts";
import { OptionError } from "../../policies/policy.ts";
import { fakeLayer } from "../_fake_layer.ts";

const layer = fakeLayer({
  ...{ heads: 4, kvHeads: 2, headDim: 1, length: 3 },
  attention: new Float32Array([1, 2, 0, 3, 1, 0, 0, 0, 9, 5, 0, 8]),
});

Deno.test("judgeDocument() takes the most over the query heads of a group, unpooled unless asked", async () => {
  assertEquals(await judgeDocument().score(layer), new Float32Array([3, 2, 0, 5, 0, 9]));
  const pooled = judgeDocument({ kernel: 3 });
  assertEquals(await pooled.score(layer), new Float32Array([3, 3, 2, 5, 9, 9]));
});

Deno.test("judgeDocument() shares the budget among all heads, those of a layer, or none", async () => {
  const scores = [new Float32Array([9, 8, 7]), new Float32Array([1, 6, 1])];
  const sharing = (share: "all" | "layer" | "head") => judgeDocument({ share });
  assertEquals(judgeDocument().options?.share, "all");
  assertEquals(await sharing("all").allocateHeads?.({ scores, keep: 2 }), [3, 1]);
  assertEquals(await sharing("layer").allocateHeads?.({ scores, keep: 2 }), [3, 1]);
  assertEquals(
    [sharing("all"), sharing("layer"), sharing("head")].map((
      { acrossLayers, allocateHeads },
    ) => [acrossLayers, allocateHeads !== undefined]),
    [[true, true], [undefined, true], [undefined, false]],
  );
});

Deno.test("judgeDocument() keeps sinks as far as the budget goes, and no window", async () => {
  const { protect } = judgeDocument();
  assertEquals(typeof protect === "function" && await protect(100, 200), { sinks: 4 });
  assertEquals(typeof protect === "function" && await protect(2, 200), { sinks: 2 });
  const { protect: none } = judgeDocument({ sinks: 0 });
  assertEquals(typeof none === "function" && await none(5, 200), { sinks: 0 });
});

Deno.test("judgeDocument() says in its note which tokens to train where none ship", async () => {
  const { evidence } = judgeDocument();
  if (evidence.kind !== "soft") throw new Error(evidence.kind);
  const tokens = await evidence.tokens({
    ...{ hidden: 4, layers: 1, fingerprint: "x", identity: "y", embeddingRms: 1 },
    readSoftTokens: () => Promise.reject(new Error("nothing to read")),
    readModelFile: () => Promise.reject(new Error("nothing to read")),
  });
  assertEquals([tokens.trained, tokens.note], [
    false,
    "none ship for this model; train some with `kvjudge train judge-q --target reconstruct`",
  ]);
});

Deno.test("judgeDocument() refuses options out of range", () => {
  assertThrows(() => judgeDocument({ sinks: -1 }), OptionError, "sinks");
  assertThrows(() => judgeDocument({ kernel: 2 }), OptionError, "kernel");
});
