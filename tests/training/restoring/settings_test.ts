import { assertEquals, assertThrows } from "@std/assert";
import { TrainingError } from "../../../training/errors.ts";
import {
  checkRestoring,
  RESTORING_DEFAULTS,
  type RestoringSettings,
} from "../../../training/restoring/settings.ts";

Deno.test("checkRestoring() takes the defaults and the ends of every range", () => {
  checkRestoring(RESTORING_DEFAULTS);
  checkRestoring({ ...RESTORING_DEFAULTS, warmup: 0, seed: 0, validate: 0, ratios: [0.2, 0.2] });
  checkRestoring({ ...RESTORING_DEFAULTS, warmup: 1, tokens: 1024, clip: Infinity });
});

Deno.test("checkRestoring() names option, bound and value of what is out of range", () => {
  const shares = "'ratios' must be two shares above 0 and below 1, the smaller first, got";
  const cases: readonly (readonly [Partial<RestoringSettings>, string])[] = [
    [{ tokens: 0 }, "'tokens' must be an integer of at least 1, got 0"],
    [{ tokens: 1025 }, "'tokens' must be at most 1024, got 1025"],
    [{ samples: 1.5 }, "'samples' must be an integer of at least 1, got 1.5"],
    [{ epochs: NaN }, "'epochs' must be an integer of at least 1, got NaN"],
    [{ batch: -1 }, "'batch' must be an integer of at least 1, got -1"],
    [{ responseTokens: 0 }, "'responseTokens' must be an integer of at least 1, got 0"],
    [{ maxPromptTokens: 0 }, "'maxPromptTokens' must be an integer of at least 1, got 0"],
    [{ rate: Infinity }, "'rate' must be a finite number above 0, got Infinity"],
    [{ warmup: -0.1 }, "'warmup' must be a share of the steps from 0 to 1, got -0.1"],
    [{ warmup: NaN }, "'warmup' must be a share of the steps from 0 to 1, got NaN"],
    [{ clip: 0 }, "'clip' must be above 0, got 0"],
    [{ seed: -1 }, "'seed' must be an integer of at least 0, got -1"],
    [{ validate: -1 }, "'validate' must be an integer of at least 0, got -1"],
    [{ initial: " " }, "'initial' must be random, words or the path of a file, got  "],
    [{ ratios: [0, 0.5] }, `${shares} 0 and 0.5`],
    [{ ratios: [0.5, 0.2] }, `${shares} 0.5 and 0.2`],
    [{ ratios: [0.5, 1] }, `${shares} 0.5 and 1`],
  ];
  for (const [changes, message] of cases) {
    const check = () => checkRestoring({ ...RESTORING_DEFAULTS, ...changes });
    assertEquals(assertThrows(check, TrainingError).message, `Cannot train: ${message}`);
  }
});
