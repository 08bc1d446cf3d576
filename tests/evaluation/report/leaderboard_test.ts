import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { boardsOf } from "../../../evaluation/report/boards.ts";
import { leaderboardText } from "../../../evaluation/report/leaderboard.ts";
import { leaderboardFigure } from "../../../evaluation/report/leaderboard_figure.ts";
import { policyChannels } from "../../../evaluation/report/palette.ts";
import { policyOrder } from "../../../evaluation/report/scores.ts";
import { record, summaryOf } from "../_run_summary.ts";

const summary = summaryOf([
  record("a", { full: 1, "snapkv 0.5": 0.5, "random 0.5": 0, "h2o 0.5": "refused" }),
  record("b", { full: 1, "snapkv 0.5": 0.5, "random 0.5": 0.5, "h2o 0.5": "refused" }),
  // The only sample of its task counts as much as the two of the other.
  record("c", { full: 0, "snapkv 0.5": 0, "random 0.5": 1, "h2o 0.5": "refused" }, { task: "vt" }),
]);

Deno.test("boardsOf() lets each task count the same, and ranks the best first", () => {
  const [board, ...others] = boardsOf(summary);
  assertEquals(others, []);
  assertEquals(board?.full.mean, 50);
  const ranks = board?.standings.map(({ policy, mean, evict }) => [policy, mean, evict]);
  assertEquals(ranks, [["random", 62.5, 10], ["snapkv", 25, 10], ["h2o", null, 0]]);
  assertEquals(board?.prefill, 50);
});

Deno.test("leaderboardText() has a table for each variant, the whole cache first", () => {
  const text = leaderboardText(summary);
  assertStringIncludes(text, "| policy | 50 % removed | mean | smallest cache (MiB) |");
  const lines = text.split("\n").filter((line) => line.startsWith("| "));
  assertMatch(lines[2] ?? "", /^\| the whole cache \| 50\.0 \| 50\.0 \| 2\.0 \|/);
  assertMatch(lines[3] ?? "", /^\| `random` \| 62\.5 \| 62\.5 \| 1\.0 \| 10 \|/);
  assertMatch(lines[5] ?? "", /^\| `h2o` \| – \| – \|/);
});

Deno.test("leaderboardFigure() draws bytes and time of each variant", async () => {
  const svg = await leaderboardFigure(boardsOf(summary), policyOrder(summary.rows));
  assert(svg.startsWith("<svg"));
  for (const text of ["cache after eviction (MiB)", "eviction (ms)", "1024 tokens", "snapkv"]) {
    assertStringIncludes(svg, text);
  }
  assert(!svg.includes("NaN"), "a number is missing");
});

Deno.test("leaderboardFigure() names every policy, and tells sixty apart", async () => {
  const policies = Array.from({ length: 60 }, (_, at) => `policy_${at}`);
  const { color, shape } = policyChannels(policies);
  const pairs = policies.map((_, at) => `${color.scale.range[at]} ${shape.scale.range[at]}`);
  assertEquals(new Set(pairs).size, policies.length);
  const scores = Object.fromEntries(policies.map((policy) => [`${policy} 0.5`, 0.5]));
  const many = summaryOf([record("a", { full: 1, ...scores })]);
  const svg = await leaderboardFigure(boardsOf(many), policyOrder(many.rows));
  for (const policy of policies) assertStringIncludes(svg, `>${policy}<`);
});
