import { assertThrows } from "@std/assert";
import { checkPolicy } from "../../plugins/check_policy.ts";
import { compose } from "../../policies/compose.ts";
import { kvZip } from "../../policies/kvzip.ts";
import { kvZipPlus } from "../../policies/kvzip_plus.ts";
import { merge } from "../../policies/merge.ts";
import { rerotate } from "../../policies/rerotate.ts";
import { restKv } from "../../policies/rest_kv.ts";
import { PolicyError } from "../../runtime/errors.ts";

const mine = { name: "mine", evidence: { kind: "none" }, score: () => new Float32Array(0) };

Deno.test("checkPolicy() takes a policy with an even-headed one beside it that divides nothing", () => {
  checkPolicy({ ...mine, evenHeads: mine }, "mine.ts");
  const itself = { ...mine, evenHeads: {} };
  itself.evenHeads = itself;
  const { score: _score, ...scoreless } = mine;
  const divides = "its 'evenHeads' must be a policy with 'score' that divides no budget itself";
  const cases: readonly [unknown, string][] = [
    ...[2, () => mine, itself, { ...scoreless, select: () => [] }].map((one) =>
      [one, divides] as [unknown, string]
    ),
    [{ ...mine, allocateHeads: () => [1] }, divides],
    [{ ...mine, secondStage: { first: 1, rescore: () => 1 } }, divides],
    [{ ...mine, name: "No" }, "of the policy in its 'evenHeads', its 'name'"],
  ];
  for (const [evenHeads, message] of cases) {
    assertThrows(() => checkPolicy({ ...mine, evenHeads }, "mine.ts"), PolicyError, message);
  }
});

Deno.test("checkPolicy() takes policies that turn keys or evict in rounds, and refuses halves of them", () => {
  checkPolicy(rerotate({ inner: compose() }), "mine.ts");
  checkPolicy({ ...mine, first: { policy: mine, tokens: 9 } }, "mine.ts");
  const cases: readonly [object, string][] = [
    [{ positions: "true" }, `its 'positions' must be "contiguous" or absent, got true`],
    [{ first: 2 }, "its 'first' must be like { policy, factor: 2 }, got 2"],
    [{ first: { policy: { ...mine, name: "No" } } }, "of the policy in its 'first', its 'name'"],
    [
      { first: { policy: mine, factor: 0.5 } },
      "'factor' of its 'first' must be a number of at least",
    ],
    [{ first: { policy: mine, tokens: 1.5 } }, "'tokens' of its 'first' must be an integer of at"],
  ];
  for (const [members, message] of cases) {
    assertThrows(() => checkPolicy({ ...mine, ...members }, "mine.ts"), PolicyError, message);
  }
});

Deno.test("checkPolicy() takes what repeats the text, measures and merges, and refuses halves of them", () => {
  checkPolicy(merge({ inner: kvZipPlus() }), "mine.ts");
  checkPolicy(merge({ inner: restKv() }), "mine.ts");
  const { evidence: replay } = kvZip();
  const window = { kind: "window", size: 8 };
  const cases: readonly [object, string][] = [
    [{ acrossLayers: false }, "its 'acrossLayers' must be true or absent, got false"],
    [{ merging: { threshold: 2, fraction: 1 } }, "its 'merging' must be like { threshold: 0"],
    [{ merging: true }, "numbers from 0 to 1, got true"],
    [{ evidence: { ...replay, chunk: "2048" } }, "of kind 'replay' must have a number 'chunk'"],
    [{ evidence: { kind: "replay", chunk: 1, sinks: 0 } }, "must have a string 'instruction'"],
    [
      { evidence: { ...window, measure: { output: "model", power: 2 } } },
      "'measure' of its evidence",
    ],
    [
      { evidence: { ...window, measure: { output: "head", power: 3 } } },
      "'measure' of its evidence",
    ],
    [
      { evidence: { ...window, measure: { output: "head", power: 1, decay: 2 } } },
      "'measure' of its evidence must be like",
    ],
  ];
  for (const [members, message] of cases) {
    assertThrows(() => checkPolicy({ ...mine, ...members }, "mine.ts"), PolicyError, message);
  }
});
