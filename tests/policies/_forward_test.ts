import { assertEquals } from "@std/assert";
import { reachForward } from "../../policies/_forward.ts";

const rounded = (scores: Float32Array) => [...scores].map((score) => Number(score.toFixed(5)));

Deno.test("reachForward() gives a token the most of what the tokens before it have left", () => {
  const scores = new Float32Array([0, 8, 0, 0, 0, 0, 1, 0]);
  const reach = { reach: 3, decay: 0.5, before: 0.25 };
  assertEquals(rounded(reachForward(scores, 8, reach)), [2, 8, 4, 2, 1, 0.25, 1, 0.5]);
  assertEquals(rounded(scores), [0, 8, 0, 0, 0, 0, 1, 0]);
});

Deno.test("reachForward() does not reach from one head into the next", () => {
  const scores = new Float32Array([0, 0, 1, 2, 0, 0]);
  const reach = { reach: 24, decay: 0.5, before: 0.5 };
  assertEquals(rounded(reachForward(scores, 3, reach)), [0, 0.5, 1, 2, 1, 0.5]);
});

Deno.test("reachForward() reaches as far as it says, whatever the reach", () => {
  for (let reach = 0; reach <= 26; reach++) {
    const scores = new Float32Array(40);
    scores[5] = 1;
    const reached = reachForward(scores, 40, { reach, decay: 0.9, before: 0 });
    const expected = Array.from(
      { length: 40 },
      (_, at) => at >= 5 && at <= 5 + reach ? 0.9 ** (at - 5) : 0,
    );
    assertEquals(rounded(reached), expected.map((score) => Number(score.toFixed(5))));
  }
});
