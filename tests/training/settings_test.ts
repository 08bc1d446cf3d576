import { assertEquals, assertThrows } from "@std/assert";
import { TrainingError } from "../../training/errors.ts";
import {
  type AdapterSettings,
  checkSettings,
  DEFAULT_SETTINGS,
  type TrainingSettings,
} from "../../training/settings.ts";
import { stepsOf } from "../../training/soft_token_settings.ts";

const ADAPTERS: AdapterSettings = { rank: 4, projections: ["q", "v"], rate: 0.001 };

const messageOf = (changes: Partial<TrainingSettings>) =>
  assertThrows(() => checkSettings({ ...DEFAULT_SETTINGS, ...changes }), TrainingError).message;

Deno.test("checkSettings() takes the defaults and the ends of every range", () => {
  checkSettings(DEFAULT_SETTINGS);
  checkSettings({ ...DEFAULT_SETTINGS, adapters: ADAPTERS });
  const least = { tokens: 1, samples: 1, epochs: 1, batch: 1, responseTokens: 1, seed: 0 };
  checkSettings({ ...DEFAULT_SETTINGS, ...least, maxPromptTokens: 1, validate: 0, warmup: 0 });
  checkSettings({ ...DEFAULT_SETTINGS, tokens: 1024, warmup: 1, codeShare: 1, clip: Infinity });
});

Deno.test("checkSettings() names option, bound and value of what is out of range", () => {
  const whole: (keyof TrainingSettings)[] = [
    "tokens",
    "samples",
    "epochs",
    "batch",
    "responseTokens",
    "maxPromptTokens",
  ];
  for (const name of whole) {
    for (const value of [0, -1, 1.5, NaN, Infinity]) {
      assertEquals(
        messageOf({ [name]: value }),
        `Cannot train: '${name}' must be an integer of at least 1, got ${value}`,
      );
    }
  }
  const bounds: [Partial<TrainingSettings>, string][] = [
    [{ tokens: 1025 }, "'tokens' must be at most 1024, got 1025"],
    [
      { tokens: 30, target: "segments" },
      "'tokens' must be a multiple of 4 for this target, got 30",
    ],
    [
      { normalise: "all", loss: "mse" },
      "'normalise' must be heads where 'loss' is not kl, got all with loss mse",
    ],
    [{ leaveFirst: -1 }, "'leaveFirst' must be an integer of at least 0, got -1"],
    [{ leaveLast: 0.5 }, "'leaveLast' must be an integer of at least 0, got 0.5"],
    [{ seed: -1 }, "'seed' must be an integer of at least 0, got -1"],
    [{ validate: -1 }, "'validate' must be an integer of at least 0, got -1"],
    [{ rate: 0 }, "'rate' must be a finite number above 0, got 0"],
    [{ rate: Infinity }, "'rate' must be a finite number above 0, got Infinity"],
    [{ rate: NaN }, "'rate' must be a finite number above 0, got NaN"],
    [{ clip: 0 }, "'clip' must be above 0, got 0"],
    [{ clip: NaN }, "'clip' must be above 0, got NaN"],
    [{ warmup: -0.1 }, "'warmup' must be a share of the steps from 0 to 1, got -0.1"],
    [{ warmup: 1.1 }, "'warmup' must be a share of the steps from 0 to 1, got 1.1"],
    [{ codeShare: -0.1 }, "'codeShare' must be from 0 to 1, got -0.1"],
    [{ codeShare: 1.1 }, "'codeShare' must be from 0 to 1, got 1.1"],
    [{ initial: " " }, "'initial' must be random, words or the path of a file, got  "],
    [
      { adapters: { ...ADAPTERS, rank: 0 } },
      "'adapters.rank' must be an integer of at least 1, got 0",
    ],
    [
      { adapters: { ...ADAPTERS, rate: Infinity } },
      "'adapters.rate' must be a finite number above 0, got Infinity",
    ],
    [
      { adapters: { ...ADAPTERS, projections: [] } },
      "'adapters.projections' must be different products, got none",
    ],
    [
      { adapters: { ...ADAPTERS, projections: ["q", "q"] } },
      "'adapters.projections' must be different products, got q,q",
    ],
  ];
  for (const [changes, message] of bounds) {
    assertEquals(messageOf(changes), `Cannot train: ${message}`);
  }
});

Deno.test("stepsOf() counts a last batch that is not full", () => {
  const steps = (examples: number, epochs: number, batch: number) =>
    stepsOf({ ...DEFAULT_SETTINGS, epochs, batch }, examples);
  assertEquals([steps(10, 1, 2), steps(11, 1, 2), steps(3, 3, 2), steps(1, 1, 8)], [5, 6, 5, 1]);
});
